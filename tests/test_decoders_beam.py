"""The beam search: equal to the readable one, which is equal to brute force; and what users see of it."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr.decoders import Hypothesis, search, viterbi
from asr.decoders.beam import BeamDecoder
from asr.decoders.hotwords import build_automaton, parse_hotwords, read_hotwords
from asr.decoders.prefix_beam import prefix_beam_search
from asr.decoders.viterbi import align
from asr.errors import ConfigError, ModelError, TextError
from asr.lm import ngram
from asr.lm.arpa import write_arpa
from asr.lm.automaton import from_model, step
from asr.lm.language_model import LanguageModel
from asr.lm.ngram_model import BOS_ID, EOS_ID, NGramModel
from asr.text.phones import Lexicon, PhoneTokenizer
from asr.text.subwords import SubwordTokenizer
from asr.text.tokenizer import BLANK, CharacterTokenizer, Tokenizer

LETTERS = CharacterTokenizer([BLANK, " ", "A", "B", "C"])
SPOKEN: Lexicon = {
    "BAA": [("B", "AA")],
    "AA": [("AA",)],
    "READ": [("R", "EH"), ("R", "IY")],
    "RED": [("R", "EH")],
    "EH": [("EH",)],
}
PHONES = PhoneTokenizer([BLANK, "AA", "B", "EH", "IY", "R"], lexicon=SPOKEN)
EXACT = {
    "beam_size": 20000,
    "beam_size_token": 100,
    "beam_threshold": 1e9,
    "merge_threshold": np.inf,
    "n_best": 100000,
    "threads": 1,
}


def random_log_probs(frames: int, symbols: int, rng: np.random.Generator) -> np.ndarray:
    logits = rng.normal(size=(frames, symbols)) * 2
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def language_model(sentences: Sequence[str], order: int = 3) -> NGramModel:
    corpus = ngram.read_corpus([sentence.split() for sentence in sentences])
    return ngram.estimate(ngram.count(corpus, order), [0], ngram.FALLBACK)


def decode(decoder: BeamDecoder, log_probs: np.ndarray) -> dict[str, float]:
    """text -> total score, in the order found."""
    (found,) = decoder(torch.from_numpy(log_probs)[None], torch.tensor([len(log_probs)]))
    return {hypothesis.text: hypothesis.score for hypothesis in found}


SENTENCES = ["AB A", "AB C", "CAB A", "A A B", "C C", "B AB", "A"]
WORDS = ["A", "AB", "B", "C", "CAB"]


# ------------------------------------------------------------------------------------------- equal to the reference


def test_the_reference_is_equal_to_brute_force() -> None:
    """All alignments of 4 frames and 4 symbols, as words of one token each."""
    log_probs = random_log_probs(4, 4, np.random.default_rng(0))
    expected: dict[tuple[str, ...], float] = {}
    for path in itertools.product(range(4), repeat=4):
        words = tuple(str(token) for token, _ in itertools.groupby(path) if token)
        score = float(sum(log_probs[t, token] for t, token in enumerate(path)))
        expected[words] = np.logaddexp(expected.get(words, -np.inf), score)
    readings = prefix_beam_search(log_probs, {str(token): [(token,)] for token in range(1, 4)})
    assert {reading.words: reading.acoustic for reading in readings} == pytest.approx(expected, abs=1e-5)


def test_without_a_lexicon() -> None:
    rng = np.random.default_rng(1)
    decoder = BeamDecoder(LETTERS, 0.04, **EXACT)  # type: ignore[arg-type]
    for _ in range(200):
        log_probs = random_log_probs(int(rng.integers(1, 6)), 5, rng)
        expected: dict[str, float] = {}
        for reading in prefix_beam_search(log_probs, {str(token): [(token,)] for token in range(1, 5)}):
            text = LETTERS.decode([int(token) for token in reading.words])
            expected[text] = np.logaddexp(expected.get(text, -np.inf), reading.total)
        assert decode(decoder, log_probs) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("tokenizer", [LETTERS, PHONES], ids=["characters", "phones"])
def test_with_lexicon_language_model_and_hotwords(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """n-best lists, scores apart, equal to those of the reference on random cases."""
    rng = np.random.default_rng(2)
    if isinstance(tokenizer, PhoneTokenizer):
        ways = {
            w: [tuple(tokenizer.ids[p] for p in pronunciation) for pronunciation in pronounced]
            for w, pronounced in SPOKEN.items()
        }
        boundary = None
        model = language_model(["READ RED", "BAA BAA AA", "EH READ", "AA", "RED READ EH AA"])
    else:
        ways = {word: [(*tokenizer.encode(word), 1)] for word in WORDS}
        boundary = 1
        model = language_model(SENTENCES)
    hotwords = {" ".join(list(ways)[:2]): 1.5, list(ways)[1]: 0.5, " ".join([list(ways)[1]] * 3): -2.0}
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text(
        "".join(f"{word} {' '.join(tokenizer.tokens[t] for t in way)}\n" for word in ways for way in ways[word]),
        encoding="utf-8",
    )
    options = {"lm_weight": 0.7, "word_insertion_score": 0.3, "unknown_score": None, "hotwords": hotwords, **EXACT}
    decoder = BeamDecoder(tokenizer, 0.04, lm=LanguageModel.of(model), lexicon=lexicon, **options)  # type: ignore

    def lm_score(words: Sequence[str], end: bool) -> float:
        scores = model.score_ids(np.array([model.encode(words)]).ravel())[0][1:]
        return float(scores[: None if end else -1].sum() * np.log(10))

    def score(words: Sequence[str], end: bool) -> float:
        text = " ".join(["", *words, ""])
        bonus = sum(
            value * sum(text.startswith(f" {phrase} ", i) for i in range(len(text)))
            for phrase, value in hotwords.items()
        )
        return 0.7 * lm_score(words, end) + 0.3 * len(words) + bonus

    for _ in range(120):
        log_probs = random_log_probs(int(rng.integers(1, 6)), tokenizer.vocab_size, rng)
        readings = prefix_beam_search(log_probs, ways, score, boundary=boundary)
        found = decoder(torch.from_numpy(log_probs)[None], torch.tensor([len(log_probs)]))[0]
        assert [h.score for h in found] == pytest.approx([r.total for r in readings], abs=1e-3)
        assert {h.text: h.acoustic_score for h in found} == pytest.approx(
            {" ".join(r.words): r.acoustic for r in readings}, abs=1e-3
        )
        for hypothesis in found:
            assert hypothesis.lm_score == pytest.approx(lm_score(hypothesis.text.split(), True), abs=1e-3)


def test_a_narrow_beam_finds_what_a_wide_one_finds_in_easy_cases() -> None:
    rng = np.random.default_rng(3)
    model = LanguageModel.of(language_model(SENTENCES))
    wide, narrow = (
        BeamDecoder(LETTERS, 0.04, lm=model, beam_size=size, threads=1, unknown_score=None) for size in (2000, 16)
    )
    same = 0
    for _ in range(50):
        log_probs = random_log_probs(20, 5, rng)
        same += next(iter(decode(wide, log_probs))) == next(iter(decode(narrow, log_probs)))
    assert same >= 40


def test_the_automaton_scores_as_the_model_does() -> None:
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(list("ABCDEFG"), rng.integers(1, 8))) for _ in range(300)]
    model = language_model(texts, order=4)
    automaton = from_model(model)
    for _ in range(200):
        ids = model.encode(list(rng.choice(list("ABCDEFGX"), rng.integers(0, 9))))
        state, found = step(automaton, 0, BOS_ID)[1], 0.0
        for label in ids[1:]:
            score, state = step(automaton, state, label)
            found += score
        assert found == pytest.approx(model.score_ids(np.array(ids))[0][1:].sum() * np.log(10), abs=1e-4)
    assert ids[-1] == EOS_ID


def test_a_language_model_in_its_own_file_is_the_same(tmp_path: Path) -> None:
    model = language_model(SENTENCES)
    write_arpa(tmp_path / "lm.arpa", model)
    LanguageModel.of(model).save(tmp_path / "lm.safetensors")
    arpa, own = LanguageModel.load(tmp_path / "lm.arpa"), LanguageModel.load(tmp_path)
    assert arpa.words == own.words == model.words
    for name, values in own.automaton._asdict().items():
        np.testing.assert_allclose(values, getattr(arpa.automaton, name), rtol=1e-3, atol=1e-3)


def test_alignment_is_the_best_of_all_paths() -> None:
    rng = np.random.default_rng(5)
    for _ in range(100):
        log_probs = random_log_probs(5, 4, rng)
        tokens = rng.integers(1, 4, int(rng.integers(1, 3)))
        paths = [
            path
            for path in itertools.product(range(4), repeat=5)
            if [token for token, _ in itertools.groupby(path) if token] == tokens.tolist()
        ]
        best = max(paths, key=lambda path: sum(log_probs[t, token] for t, token in enumerate(path)))
        spoken = [(token, list(group)) for token, group in itertools.groupby(enumerate(best), key=lambda x: x[1])]
        expected = [[group[0][0], group[-1][0] + 1] for token, group in spoken if token]
        assert align(log_probs, tokens.astype(np.int32), 0).tolist() == expected


# -------------------------------------------------------------------------------------------------- what users see


def certain(tokenizer: Tokenizer, symbols: Sequence[str], certainty: float = 0.9) -> np.ndarray:
    probs = np.full((len(symbols), tokenizer.vocab_size), (1 - certainty) / (tokenizer.vocab_size - 1))
    for frame, symbol in enumerate(symbols):
        probs[frame, tokenizer.ids.get(symbol, 0)] = certainty
    return np.log(probs).astype(np.float32)


def test_a_lexicon_mends_what_was_heard_wrongly() -> None:
    model = LanguageModel.of(language_model(SENTENCES))
    log_probs = certain(LETTERS, "CA_A C", 0.99)  # there is no CAA, but a CAB
    log_probs[3, [2, 3]] = np.log([0.6, 0.3])
    assert next(iter(decode(BeamDecoder(LETTERS, 0.04), log_probs))) == "CAA C"
    assert next(iter(decode(BeamDecoder(LETTERS, 0.04, lm=model, unknown_score=None), log_probs))) == "CAB C"


def test_words_outside_the_lexicon_are_spelt() -> None:
    model = LanguageModel.of(language_model(SENTENCES))
    decoder = BeamDecoder(LETTERS, 0.04, lm=model, unknown_score=-2.0)
    log_probs = certain(LETTERS, "A_CC_CA AAB", 0.999)
    best = decoder(torch.from_numpy(log_probs)[None], torch.tensor([len(log_probs)]))[0][0]
    assert best.text == "ACCA AB"
    assert [(word.text, round(word.start, 2), round(word.end, 2)) for word in best.words] == [
        ("ACCA", 0.0, 0.28),
        ("AB", 0.32, 0.44),
    ]


def test_subwords_need_no_boundary() -> None:
    tokenizer = SubwordTokenizer.build(["ABC CAB BAC", "CAB CAB ABC AB"] * 5, size=9)
    model = LanguageModel.of(language_model(["CAB ABC", "ABC AB CAB"]))
    symbols = [tokenizer.tokens[i] for i in tokenizer.encode("CAB ABC")]
    log_probs = certain(tokenizer, [s for symbol in symbols for s in (symbol, symbol, BLANK)], 0.95)
    decoder = BeamDecoder(tokenizer, 0.04, lm=model)
    assert next(iter(decode(decoder, log_probs))) == "CAB ABC"


def test_hotwords_are_found_more_often_with_and_without_a_lexicon() -> None:
    """Where CAB and CAC sound alike, the one that is expected is heard; other words stay as they are."""
    log_probs = certain(LETTERS, "A_ CAB AB", 0.99)
    log_probs[5, [3, 4]] = np.log([0.55, 0.4])
    model = LanguageModel.of(language_model(["A CAB AB"]))
    for options in ({}, {"lm": model, "unknown_score": 0.0}):
        without = BeamDecoder(LETTERS, 0.04, **options)  # type: ignore[arg-type]
        boosted = BeamDecoder(LETTERS, 0.04, hotwords={"CAC": 8.0}, **options)  # type: ignore[arg-type]
        parts = BeamDecoder(LETTERS, 0.04, hotwords={"AC": 3.0}, **options)  # type: ignore[arg-type]
        assert next(iter(decode(without, log_probs))) == "A CAB AB"
        assert next(iter(decode(boosted, log_probs))) == "A CAC AB"
        assert next(iter(decode(parts, log_probs))) == "A CAB AB"


def test_confidence_is_the_posterior_of_the_word() -> None:
    log_probs = certain(LETTERS, "A_ CAB AB", 0.999)
    log_probs[5, [3, 4]] = np.log([0.6, 0.4])
    best = BeamDecoder(LETTERS, 0.04)(torch.from_numpy(log_probs)[None], torch.tensor([9]))[0][0]
    assert [word.confidence for word in best.words] == pytest.approx([1.0, 0.6, 1.0], abs=0.02)


def test_a_batch_in_threads_is_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(6)
    batch = torch.from_numpy(np.stack([random_log_probs(30, 5, rng) for _ in range(8)]))
    counts = torch.tensor([30, 7, 30, 1, 22, 3, 9, 30])
    one, two = (BeamDecoder(LETTERS, 0.04, n_best=5, threads=threads) for threads in (1, 2))
    assert one(batch, counts) == two(batch, counts)


def test_numbers_of_another_type_do_not_compile_the_search_anew() -> None:
    log_probs = random_log_probs(12, 5, np.random.default_rng(7))
    settings = {"lm_weight": 1, "word_insertion_score": 0, "beam_threshold": 20, "merge_threshold": 1}
    functions: list[Any] = [search._walk, search._merge, viterbi._align]
    compiled = []
    for kind in (float, int, np.float64, np.float32):
        numbers = {name: kind(value) for name, value in settings.items()}
        decoder = BeamDecoder(LETTERS, 0.04, log_prior=[-1.0] * 5, **numbers)  # type: ignore[arg-type]
        decode(decoder, log_probs)
        decode(decoder.weighted(kind(1), kind(0), kind(1)), log_probs)  # type: ignore[arg-type]
        compiled.append([function.signatures.copy() for function in functions])
    assert all(signatures == compiled[0] for signatures in compiled)


def test_weights_can_be_changed() -> None:
    model = LanguageModel.of(language_model(SENTENCES))
    log_probs = random_log_probs(12, 5, np.random.default_rng(7))
    first = BeamDecoder(LETTERS, 0.04, lm=model, lm_weight=0.1, n_best=10)
    second = BeamDecoder(LETTERS, 0.04, lm=model, lm_weight=2.0, word_insertion_score=1.0, n_best=10)
    assert decode(first.weighted(2.0, 1.0, 0.0), log_probs) == decode(second, log_probs) != decode(first, log_probs)


def test_a_beam_can_be_narrowed_and_not_widened() -> None:
    log_probs = random_log_probs(12, 5, np.random.default_rng(4))
    wide, narrow = (BeamDecoder(LETTERS, 1.0, beam_size=size, n_best=99, threads=1) for size in (64, 2))
    assert decode(wide.narrowed(2), log_probs) == decode(narrow, log_probs) != decode(wide, log_probs)
    assert decode(wide.narrowed(99), log_probs) == decode(wide, log_probs)


def test_confidences_are_fitted_over_posterior_and_what_was_heard() -> None:
    log_probs = random_log_probs(12, 5, np.random.default_rng(8))
    options: Any = {"lm": LanguageModel.of(language_model(SENTENCES)), "unknown_score": None, "threads": 1}

    def best(**more: Any) -> Hypothesis:
        decoder = BeamDecoder(LETTERS, 0.04, **options, **more)
        return decoder(torch.from_numpy(log_probs)[None], torch.tensor([len(log_probs)]))[0][0]

    plain = best()
    odds, heard = np.array(plain.evidence).T
    assert 1 / (1 + np.exp(-odds)) == pytest.approx([min(word.confidence, 1 - 1e-4) for word in plain.words])
    tokens = [
        list(log_probs[first:stop, t].tolist()) for t, (first, stop) in zip(plain.tokens, plain.spans, strict=True)
    ]
    peaks = [max(values) for token, values in zip(plain.tokens, tokens, strict=True) if token != LETTERS.ids[" "]]
    assert heard.sum() < 0 and (len(plain.words) > 1 or heard[0] == pytest.approx(np.mean(peaks)))
    fitted = best(confidence_weights=(0.5, 0.25, 1.0))
    assert (fitted.text, fitted.score) == (plain.text, plain.score)
    assert [word.confidence for word in fitted.words] == pytest.approx(
        1 / (1 + np.exp(-(0.5 * odds + 0.25 * heard + 1)))
    )


def test_nothing_is_found_where_the_search_is_unsure() -> None:
    log_probs = torch.from_numpy(random_log_probs(12, 5, np.random.default_rng(8)))[None]
    plain = BeamDecoder(LETTERS, 0.04, n_best=3)
    sure = plain(log_probs, torch.tensor([12]))[0][0].confidence
    assert 0 < sure < 1
    for gate, found in ((sure - 0.01, True), (sure + 0.01, False)):
        decoder = BeamDecoder(LETTERS, 0.04, n_best=3, min_confidence=gate)
        listed = decoder(log_probs, torch.tensor([12]))[0]
        assert (len(listed), bool(listed[0].text), bool(listed[0].words)) == ((3 if found else 1), found, found)
        assert decoder.narrowed(2)(log_probs, torch.tensor([12]))[0][0].text  # scores are compared there


def test_the_prior_is_taken_off_each_token() -> None:
    log_probs = random_log_probs(12, 5, np.random.default_rng(8))
    prior = (-0.1, -3.0, -4.0, -5.0, -6.0)
    plain = BeamDecoder(LETTERS, 0.04, n_best=10)
    decoder = BeamDecoder(LETTERS, 0.04, n_best=10, log_prior=prior, prior_weight=0.5)
    assert decode(decoder, log_probs) == decode(plain, log_probs - 0.5 * np.array(prior, np.float32))
    assert decode(decoder.weighted(1.0, 0.0, 0.0), log_probs) == decode(plain, log_probs)
    assert decode(plain.weighted(1.0, 0.0, 0.5, log_prior=prior), log_probs) == decode(decoder, log_probs)
    silence = np.log(np.full((9, 1), 1.0, np.float32) * np.array([0.6, 0.1, 0.1, 0.1, 0.1], np.float32))
    assert next(iter(decode(plain, silence))) == next(iter(decode(decoder, silence))) == ""
    assert next(iter(decode(plain, silence - 0.5 * np.array(prior, np.float32)))) != ""
    with pytest.raises(ConfigError, match="log_prior: found 0 values, wanted 5, as `asr lm tune`"):
        BeamDecoder(LETTERS, 0.04, prior_weight=0.5)


def test_what_has_the_same_future_gives_way_to_the_best() -> None:
    """All words may follow all: without a language model and hotwords, every word's end is the same place."""
    rng = np.random.default_rng(9)
    wide = {"beam_size": 20000, "beam_size_token": 100, "beam_threshold": 1e9, "n_best": 20000, "threads": 1}
    model = LanguageModel.of(language_model(SENTENCES))
    same = 0
    for lm in (None, model):
        everything, merged, loose = (
            BeamDecoder(LETTERS, 0.04, lm=lm, unknown_score=None, merge_threshold=threshold, **wide)  # type: ignore
            for threshold in (np.inf, 0.0, 2.0)
        )
        for _ in range(20):
            log_probs = random_log_probs(6, 5, rng)
            found, few, some = (decode(decoder, log_probs) for decoder in (everything, merged, loose))
            assert len(few) <= len(some) <= len(found) and len(few) < len(found)
            assert set(few) <= set(found)
            assert max(few.values()) <= max(found.values()) + 1e-4  # a part of the sum may be lost
            same += next(iter(some)) == next(iter(found))
    assert same >= 36  # of 40, on noise


# ---------------------------------------------------------------------------------------------------------- mistakes


def test_a_lexicon_with_foreign_symbols_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("AB\nCAB\nDAB\n", encoding="utf-8")
    with pytest.raises(TextError, match=r"lexicon\.txt:3: 'DAB': the model has no token for 'D'"):
        BeamDecoder(LETTERS, 0.04, lexicon=tmp_path / "lexicon.txt")
    (tmp_path / "phones.txt").write_text("BAA B AA\nCAB K AE B\n", encoding="utf-8")
    with pytest.raises(TextError, match=r"phones\.txt:2: found the phones AE K in 'CAB K AE B'; the model knows AA B"):
        BeamDecoder(PHONES, 0.04, lexicon=tmp_path / "phones.txt")


def test_a_language_model_in_another_case_is_refused(tmp_path: Path) -> None:
    lower = LanguageModel.of(language_model([sentence.lower() for sentence in SENTENCES]))
    with pytest.raises(ModelError, match="can spell none of the language model's 5 words.*capitals"):
        BeamDecoder(LETTERS, 0.04, lm=lower)
    (tmp_path / "lexicon.txt").write_text("AB\nCAB\n", encoding="utf-8")
    with pytest.raises(ModelError, match="knows none of the lexicon's words.*capitals"):
        BeamDecoder(LETTERS, 0.04, lm=lower, lexicon=tmp_path / "lexicon.txt")


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="beam_size: found 0, wanted at least 1"):
        BeamDecoder(LETTERS, 0.04, beam_size=0)


def test_files_of_words_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("CAB\nAB\n", encoding="utf-8-sig")
    assert BeamDecoder(LETTERS, 0.04, lexicon=tmp_path / "words.txt").vocabulary.labels == ["", "CAB", "AB"]
    (tmp_path / "hot.txt").write_text("ACME\n", encoding="utf-8-sig")
    assert read_hotwords(tmp_path / "hot.txt") == {"ACME": 6.0}
    lm = tmp_path / "lm"
    lm.mkdir()
    LanguageModel.of(language_model(["AA READ", "EH"])).save(lm / "lm.safetensors")
    (lm / "lexicon.txt").write_text("AA AA\nREAD R EH\n", encoding="utf-8-sig")
    assert BeamDecoder(PHONES, 0.04, lm=lm).vocabulary.labels == ["", "AA", "READ"]


def test_words_are_spelt_whole_or_not_at_all(tmp_path: Path) -> None:
    """A model that skips unknown symbols in training's texts does not find CAB where CABZ is in the lexicon."""
    lenient = CharacterTokenizer(LETTERS.tokens, unknown="skip")
    (tmp_path / "lexicon.txt").write_text("AB\nCABZ\n", encoding="utf-8")
    with pytest.raises(TextError, match=r"lexicon\.txt:2: 'CABZ': the model has no token for 'Z'"):
        BeamDecoder(lenient, 0.04, lexicon=tmp_path / "lexicon.txt")
    phones = PhoneTokenizer(PHONES.tokens, unknown="skip", lexicon=SPOKEN)
    with pytest.raises(TextError, match="no pronunciation of CAB"):
        BeamDecoder(phones, 0.04, hotwords={"AA": 2.0, "CAB": 2.0}, lm=LanguageModel.of(language_model(["AA"])))


def test_phones_with_digits_are_named_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "phones.txt").write_text("BAA B AA\nBEUX B 2\n", encoding="utf-8")
    with pytest.raises(TextError, match=r"phones\.txt:2: found the phones 2 in 'BEUX B 2'"):
        BeamDecoder(PHONES, 0.04, lexicon=tmp_path / "phones.txt")


def test_hotwords_are_read(tmp_path: Path) -> None:
    assert parse_hotwords("ACME, NEW  YORK:2.5,") == {"ACME": 6.0, "NEW YORK": 2.5}
    (tmp_path / "hot.txt").write_text("ACME\n\nNEW YORK:-1\n", encoding="utf-8")
    assert read_hotwords(tmp_path / "hot.txt") == {"ACME": 6.0, "NEW YORK": -1.0}
    (tmp_path / "hot.txt").write_text("ACME\nNEW YORK:much\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"hot\.txt:2: found 'NEW YORK:much', wanted a word or phrase"):
        read_hotwords(tmp_path / "hot.txt")


def test_hotwords_that_come_to_nothing_earn_nothing() -> None:
    automaton = build_automaton([((1, 2, 3), 3.0), ((2, 3), 1.0), ((2, 4, 4), 9.0)])

    def total(labels: Sequence[int]) -> float:
        state, score = 0, 0.0
        for label in (*labels, -1):
            more, state = step(automaton, state, label)
            score += more
        return score

    assert total([1, 2, 3]) == pytest.approx(4.0)
    assert total([1, 2, 4, 4]) == pytest.approx(9.0)
    assert total([1, 2, 1, 2, 4]) == pytest.approx(0.0)
    assert total([5, 2, 3, 2, 3]) == pytest.approx(2.0)
