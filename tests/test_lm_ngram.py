"""n-gram models against a plain implementation of the published formulae, lmplz and KenLM where they are installed."""

import gzip
import itertools
import lzma
import math
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from asr.errors import ConfigError, ModelError, TextError
from asr.lm import ngram
from asr.lm.arpa import read_arpa, write_arpa
from asr.lm.interpolate import fit_weights, interpolate
from asr.lm.kenlm_binary import murmur_hash, write_binary
from asr.lm.language_model import LanguageModel
from asr.lm.ngram import FALLBACK, count, discounts, estimate, read_corpus
from asr.lm.ngram_model import BOS, EOS, UNK, NGramModel
from asr.lm.perplexity import perplexity
from asr.lm.prune import prune

Ngram = tuple[str, ...]
PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress}


def random_text(seed: int, sentences: int = 500, words: int = 5000) -> list[list[str]]:
    """Sentences of 1 to 8 words: few are frequent, most rare (Zipf's law), and half of them follow certain others."""
    rng = np.random.default_rng(seed)
    text = []
    for _ in range(sentences):
        word, sentence = 0, []
        for drawn in np.minimum(rng.zipf(1.6, rng.integers(1, 9)), words).tolist():
            word = (word * 7 + 3) % 11 if rng.random() < 0.4 else drawn
            sentence.append(f"w{word}")
        text.append(sentence)
    return text


def build(
    text: Sequence[Sequence[str]], order: int, prune: Sequence[int] = (0,), fallback: Sequence[float] | None = None
) -> NGramModel:
    return estimate(count(read_corpus(text), order), prune, fallback)


# ------------------------------------------------------------------------------------------------------- the reference


class Reference:
    """Chen & Goodman (1998), section 3, with dictionaries; pruning as Heafield et al. (2013) do it."""

    def __init__(self, text: Sequence[Sequence[str]], order: int, thresholds: Sequence[int]) -> None:
        self.order = order
        raw: list[Counter[Ngram]] = [Counter() for _ in range(order + 1)]
        for sentence in text:
            words = [BOS, *sentence, EOS]
            for n in range(1, order + 1):
                raw[n].update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        self.vocabulary = sorted({UNK, *(g[0] for g in raw[1])} - {BOS})
        in_front: dict[Ngram, set[str]] = defaultdict(set)
        for grams in raw[2:]:
            for gram in grams:
                in_front[gram[1:]].add(gram[0])
        self.counts: dict[Ngram, int] = {}
        for n in range(1, order + 1):
            for gram, c in raw[n].items():
                self.counts[gram] = c if n == order or (gram[0] == BOS and n > 1) else len(in_front[gram])
        self.counts[(BOS,)] = 0
        self.kept = {g for n in range(1, order + 1) for g, c in raw[n].items() if n == 1 or c > thresholds[n - 1]}
        self.discounts: list[list[float]] = [[]]
        for n in range(1, order + 1):
            of = Counter(c for g, c in self.counts.items() if len(g) == n)
            found = [float("nan")] * 3
            if of[1] and of[2] and of[3]:
                y = of[1] / (of[1] + 2 * of[2])
                found = [j - (j + 1) * y * of[j + 1] / of[j] for j in (1, 2, 3)]
            good = all(0 <= value <= j for j, value in enumerate(found, start=1))
            self.discounts.append([0.0, *(found if good else FALLBACK)])
        self.followers: dict[Ngram, list[Ngram]] = defaultdict(list)
        for gram in self.counts:
            self.followers[gram[:-1]].append(gram)

    def discount(self, gram: Ngram) -> float:
        return self.discounts[len(gram)][min(self.counts[gram], 3)]

    def backoff(self, history: Ngram) -> float:
        """gamma(h): the discounts of what was kept and the counts of what was dropped, over all counts."""
        if not self.followers[history]:
            return 1.0
        mass = sum(self.discount(g) if g in self.kept else self.counts[g] for g in self.followers[history])
        return mass / sum(self.counts[g] for g in self.followers[history])

    def prob(self, word: str, history: Ngram) -> float:
        gram = (*history, word)
        lower = self.prob(word, history[1:]) if history else 1 / len(self.vocabulary)
        if history and not self.followers[history]:
            return lower
        own = 0.0
        if gram in self.kept:
            own = (self.counts[gram] - self.discount(gram)) / sum(self.counts[g] for g in self.followers[history])
        return own + self.backoff(history) * lower


def stored(model: NGramModel) -> Iterator[tuple[Ngram, float, float]]:
    """Every n-gram with its log10 probability and back-off weight."""
    for n in range(1, model.order + 1):
        for row, p, b in zip(model.ngrams(n), model.log_probs[n - 1], model.log_backoffs[n - 1], strict=True):
            yield tuple(model.words[i] for i in row), float(p), float(b)


def log_prob(table: dict[Ngram, tuple[float, float]], word: str, history: Ngram) -> float:
    """The back-off formula, word by word."""
    if (*history, word) in table:
        return table[(*history, word)][0]
    return table.get(history, (0.0, 0.0))[1] + log_prob(table, word, history[1:])


def as_table(model: NGramModel) -> dict[Ngram, tuple[float, float]]:
    return {gram: (p, b) for gram, p, b in stored(model)}


def assert_sums_to_one(model: NGramModel) -> None:
    table = as_table(model)
    predicted = [word for word in model.words if word != BOS]
    histories = [gram for gram in table if len(gram) < model.order and gram[-1] != EOS]
    for history in [(), *histories]:
        total = sum(10 ** log_prob(table, word, history) for word in predicted)
        assert total == pytest.approx(1, abs=2e-5), history


# ---------------------------------------------------------------------------------------------------------- estimation


def test_by_hand() -> None:
    model = build([["a", "b"], ["a", "c"]], 2, fallback=FALLBACK)
    table = {gram: (10**p, 10**b) for gram, p, b in stored(model)}
    # Different words in front: a 1, b 1, c 1, </s> 2, of 5; taken away 3 * 0.5 + 1; a fifth of it for each of 5 words.
    assert table[("a",)] == pytest.approx((0.5 / 5 + 0.5 / 5, (0.5 + 0.5) / 2))
    assert table[(EOS,)][0] == pytest.approx(1 / 5 + 0.5 / 5)
    assert table[(UNK,)][0] == pytest.approx(0.5 / 5)
    assert table[("a", "b")][0] == pytest.approx(0.5 / 2 + 0.5 * 0.2)
    assert table[(BOS, "a")][0] == pytest.approx(1 / 2 + 0.5 * 0.2)
    assert table[("b", EOS)][0] == pytest.approx(0.5 + 0.5 * 0.3)
    assert len(table) == 6 + 5


@pytest.mark.parametrize("thresholds", [[0], [0, 1], [0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 0, 1, 1]])
@pytest.mark.parametrize("seed", [3, 5, 7])
def test_equals_the_published_formulae(seed: int, thresholds: list[int]) -> None:
    order = len(thresholds)
    text = random_text(seed)
    reference = Reference(text, order, thresholds)
    assert reference.discounts[-1] != [0, *FALLBACK]
    model = build(text, order, thresholds, fallback=FALLBACK)
    table = as_table(model)
    assert set(table) == reference.kept | {(UNK,)}
    for gram, (p, b) in table.items():
        if gram != (BOS,):
            assert 10**p == pytest.approx(reference.prob(gram[-1], gram[:-1]), rel=1e-5), gram
        if len(gram) < order:
            assert 10**b == pytest.approx(reference.backoff(gram), rel=1e-5), gram


@pytest.mark.parametrize(("order", "thresholds"), [(1, [0]), (2, [0]), (4, [0, 0, 1]), (5, [0, 1, 1, 2])])
def test_every_history_sums_to_one(order: int, thresholds: list[int]) -> None:
    assert_sums_to_one(build(random_text(order), order, thresholds, fallback=FALLBACK))


def test_counting_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = random_text(5)
    whole = count(read_corpus(text), 4)
    monkeypatch.setattr(ngram, "PIECE", 7)
    pieces = count(read_corpus(text), 4)
    for a, b in zip([*whole.keys, *whole.raw], [*pieces.keys, *pieces.raw], strict=True):
        assert np.array_equal(a, b)


def test_words_cut_from_the_vocabulary_are_counted_as_unknown() -> None:
    text = random_text(6)
    frequent = [
        word for word, _ in sorted(Counter(itertools.chain(*text)).items(), key=lambda item: (-item[1], item[0]))
    ]
    cut = read_corpus(text, vocabulary=5)
    assert cut.words == [UNK, BOS, EOS, *frequent[:5]]
    replaced = [[word if word in frequent[:5] else "other" for word in sentence] for sentence in text]
    # A word that stands for all rare ones: the same model, but that nothing is left for words never seen.
    model = estimate(count(cut, 3), [0], FALLBACK)
    same = build(replaced, 3, fallback=FALLBACK)
    rename = {"other": UNK}
    assert {gram for gram, _, _ in stored(model)} == {
        tuple(rename.get(w, w) for w in gram) for gram, _, _ in stored(same)
    }
    assert_sums_to_one(model)
    assert read_corpus(text, min_count=10**6).words == [UNK, BOS, EOS]


def test_corpus_figures() -> None:
    corpus = read_corpus([["a", "b"], ["a"]])
    assert (corpus.num_sentences, corpus.num_words, corpus.words[3:]) == (2, 3, ["a", "b"])


@pytest.mark.parametrize("text", [[], [["a", "<s>"]], [["</s>"]], [["<unk>", "a"]]])
def test_texts_that_cannot_be_counted(text: list[list[str]]) -> None:
    with pytest.raises(TextError, match="no sentences|keep for themselves"):
        read_corpus(text)


def test_too_little_text_says_so_and_offers_the_fallback() -> None:
    with pytest.raises(TextError, match=r"1-grams cannot be estimated.*--discount-fallback 0\.5 1\.0 1\.5"):
        build([["a", "b"]], 2)
    natural = np.repeat([1, 2, 3, 4, 5], [50, 20, 10, 6, 9])
    assert discounts(natural, 1, FALLBACK)[1] == pytest.approx(50 / 90)  # no fallback where it is not needed
    assert discounts(np.repeat([1, 2, 3, 4], [1, 1, 1, 50]), 1, FALLBACK).tolist() == [0, *FALLBACK]


@pytest.mark.parametrize("thresholds", [[1, 1], [0, 2, 1]])
def test_impossible_thresholds(thresholds: list[int]) -> None:
    with pytest.raises(ConfigError, match="thresholds that do not fall"):
        build(random_text(7), 3, thresholds)


def test_an_order_that_is_pruned_away_is_left_out() -> None:
    model = build(random_text(8), 4, [0, 0, 0, 10**6])
    assert model.order == 3
    assert_sums_to_one(model)


@pytest.mark.skipif(shutil.which("lmplz") is None, reason="lmplz (KenLM) is not installed")
@pytest.mark.parametrize("thresholds", [[0], [0, 1, 1]])
def test_equals_lmplz(thresholds: list[int], tmp_path: Path) -> None:
    text = random_text(9, sentences=3000)
    (tmp_path / "text").write_text("".join(" ".join(sentence) + "\n" for sentence in text), encoding="utf-8")
    files = ["--text", str(tmp_path / "text"), "--arpa", str(tmp_path / "arpa"), "-S", "100M"]
    subprocess.run(["lmplz", "-o", "3", "--prune", *map(str, thresholds), *files], check=True, capture_output=True)
    ours, theirs = as_table(build(text, 3, thresholds)), as_table(read_arpa(tmp_path / "arpa"))
    assert ours.keys() == theirs.keys()
    for gram in ours.keys() - {(BOS,)}:
        assert ours[gram] == pytest.approx(theirs[gram], abs=2e-6), gram


# ------------------------------------------------------------------------------------------------------- ARPA, scoring


@pytest.fixture(scope="module")
def model() -> NGramModel:
    return build(random_text(10), 3, [0, 0, 1])


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "lm.arpa.xz"])
def test_arpa_round_trip(model: NGramModel, tmp_path: Path, name: str) -> None:
    plain = tmp_path / "plain"
    write_arpa(plain, model)
    (tmp_path / name).write_bytes(PACK.get(Path(name).suffix, bytes)(plain.read_bytes()))
    again = as_table(read_arpa(tmp_path / name))
    assert again.keys() == as_table(model).keys()
    for gram, p, b in stored(model):
        assert again[gram] == pytest.approx((p, b), rel=1e-6, abs=1e-7)


def test_scores_are_the_back_off_formula_s(model: NGramModel) -> None:
    table = as_table(model)
    for sentence in [*random_text(11, 50), ["w1", "never", "w2"], [], ["never"]]:
        words = [word if word in model.ids else UNK for word in sentence]
        history: Ngram = (BOS,)
        total = 0.0
        for word in [*words, EOS]:
            total += log_prob(table, word, history[-2:])
            history = (*history, word)
        assert model.score(sentence) == pytest.approx(total, abs=1e-5)


def test_perplexity_by_hand() -> None:
    model = build([["a", "b"], ["a", "c"]], 2, fallback=FALLBACK)
    result = perplexity(model, [["a", "b"], ["x"]])
    known = [0.6, 0.35, 0.65, 0.3]  # a | <s>, b | a, </s> | b, </s> | x
    unknown = 0.5 * 0.1  # x | <s>
    assert (result.sentences, result.words, result.oov, result.hits) == (2, 3, 1, [2, 3])
    assert result.excluding_oov == pytest.approx(math.prod(known) ** (-1 / 4), rel=1e-5)
    assert result.including_oov == pytest.approx((math.prod(known) * unknown) ** (-1 / 5), rel=1e-5)


def test_perplexity_of_nothing(model: NGramModel) -> None:
    with pytest.raises(TextError, match="no sentences"):
        perplexity(model, [])


ARPA = """\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.3
-0.6\t</s>
-0.5\ta\t-0.2
-0.7\tb\t-0.1

\\2-grams:
-0.3\t<s> a\t-0.4
-0.2\ta b
-0.4\tb </s>

\\3-grams:
-0.1\t<s> a b

\\end\\
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", r":\d+: found no \\data\\ line"),
        ("ngram 2=3", "ngram 3=3", r":3: found 'ngram 3=3', wanted `ngram 2=COUNT`"),
        ("ngram 2=3", "ngram 2=x", r":3: found 'ngram 2=x'"),
        ("ngram 2=3", "ngram 2=4", r":17: found '', wanted one of 4 lines"),
        ("ngram 2=3", "ngram 2=2", r":16: found '-0\.4\\tb </s>', wanted \\3-grams:"),
        ("-0.7\tb", "-0.7x\tb", r":11: found '-0.7x b -0.1', wanted a number for '-0.7x'"),
        ("-0.7\tb", "0.7\tb", r":11: .*wanted a log10 probability of 0 or less"),
        ("-0.7\tb", "nan\tb", r":11: .*wanted a finite number or -inf for 'nan'"),
        ("-0.7\tb\t-0.1", "-0.7\tb\tinf", r":11: .*a finite number or -inf for 'inf'"),
        ("-0.7\tb\t-0.1", "-0.7\tb c\t-0.1", r":11: .*one of 5 lines: a log10 probability, 1 words"),
        ("-0.7\tb", "-0.7\ta", r":11: .*each word once among the 1-grams, 'a' was there before"),
        ("-0.2\ta b", "-0.2\ta c", r":15: .*as 'c' is not"),
        ("-0.2\ta b", "-0.2\t<s> a", "found the 2-gram '<s> a' twice"),
        ("-0.6\t</s>", "-0.6\tc", "wanted|found no </s>"),
        ("\\end\\\n", "", r":\d+: the file ends, wanted \\end\\"),
        ("-0.1\t<s> a b\n\n\\end\\\n", "", r":\d+: the file ends, wanted 1 3-grams"),
    ],
)
def test_a_damaged_arpa_file_names_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ARPA
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=message) as error:
        read_arpa(path)
    assert str(path) in str(error.value)


def test_words_may_hold_white_space_that_is_no_separator(tmp_path: Path) -> None:
    """No-break space, ideographic space, next line: in French and Chinese models."""
    for odd in "\u00a0\u3000\u2009\u0085\u2028":
        word = f"a{odd}c"
        text = "\n".join(line.replace("\ta", f"\t{word}").replace(" a", f" {word}") for line in ARPA.split("\n"))
        (tmp_path / "lm.arpa").write_text(text, encoding="utf-8")
        model = read_arpa(tmp_path / "lm.arpa")
        assert model.words[3:] == [word, "b"] and model.score([word, "b"]) == pytest.approx(-0.3 - 0.1 - 0.4)


def test_minus_infinity_is_never(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA.replace("-99\t<s>", "-inf\t<s>"), encoding="utf-8")
    model = read_arpa(tmp_path / "lm.arpa")
    assert model.log_probs[0][1] == -99 and np.isfinite(model.score(["a", "b"]))
    (tmp_path / "lm.arpa").write_text(ARPA.replace("b\t-0.1", "b\t-inf"), encoding="utf-8")
    model = read_arpa(tmp_path / "lm.arpa")
    assert model.score(["b", "a"]) < -99
    LanguageModel.of(model).save(tmp_path / "lm.safetensors")
    assert LanguageModel.load(tmp_path / "lm.safetensors").words == model.words


def test_files_that_are_no_arpa_files(model: NGramModel, tmp_path: Path) -> None:
    write_binary(tmp_path / "binary", model)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(ARPA.encode())[:50])
    for name, message in (("none", "cannot be read"), ("binary", "give the ARPA file"), ("cut.gz", "cannot be read")):
        with pytest.raises(ModelError, match=f"{name}: the language model .*{message}"):
            read_arpa(tmp_path / name)


def test_missing_unk_is_never_and_capital_unk_is_unk(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA.replace("-1.5\t<unk>\n", "").replace("1=5", "1=4"), encoding="utf-8")
    assert as_table(read_arpa(path))[(UNK,)][0] == -99
    path.write_text(ARPA.replace("<unk>", "<UNK>"), encoding="utf-8")
    assert as_table(read_arpa(path))[(UNK,)][0] == -1.5


def test_n_grams_that_srilm_pruned_are_filled_in(tmp_path: Path) -> None:
    """Without `a b` and `<s> a` the trigram has neither its first nor its last words; all scores are the formula's."""
    path = tmp_path / "lm.arpa"
    path.write_text(
        ARPA.replace("-0.2\ta b\n", "").replace("-0.3\t<s> a\t-0.4\n", "").replace("2=3", "2=1"), encoding="utf-8"
    )
    model = read_arpa(path)
    table = as_table(model)
    assert model.counts == [5, 3, 1]
    assert table[("a", "b")] == pytest.approx((-0.2 - 0.7, 0))
    assert table[(BOS, "a")] == pytest.approx((-0.3 - 0.5, 0))
    assert model.score(["a", "b"]) == pytest.approx(-0.8 - 0.1 - 0.4)


# ------------------------------------------------------------------------------------------------------------ binaries


def kenlm_score(path: Path, sentence: Sequence[str], words: Sequence[str]) -> float:
    dictionary = pytest.importorskip("flashlight.lib.text.dictionary")
    decoder = pytest.importorskip("flashlight.lib.text.decoder.kenlm")
    lm = decoder.KenLM(str(path), dictionary.Dictionary(list(words)))
    state, total = lm.start(False), 0.0
    for word in sentence:
        state, score = lm.score(state, words.index(word) if word in words else words.index(UNK))
        total += score
    return total + lm.finish(state)[1]


@pytest.mark.parametrize("order", [2, 3, 6])
def test_kenlm_reads_the_arpa_file_and_the_binary(order: int, tmp_path: Path) -> None:
    model = build(random_text(12), order, [0, 0, 1], fallback=FALLBACK)
    write_arpa(tmp_path / "arpa", model)
    write_binary(tmp_path / "binary", model)
    for sentence in [*random_text(13, 30), ["w1", UNK, "w2"]]:
        ours = model.score(sentence)
        assert kenlm_score(tmp_path / "arpa", sentence, model.words) == pytest.approx(ours, abs=1e-4)
        # 256 values for each order: a few thousandths a word.
        assert kenlm_score(tmp_path / "binary", sentence, model.words) == pytest.approx(
            ours, abs=0.02 * len(sentence) + 0.02
        )


@pytest.mark.skipif(shutil.which("build_binary") is None, reason="build_binary (KenLM) is not installed")
@pytest.mark.parametrize("order", [2, 3, 4])
def test_the_binary_is_build_binary_s_byte_for_byte(order: int, tmp_path: Path) -> None:
    write_arpa(tmp_path / "arpa", build(random_text(14, 3000), order, fallback=FALLBACK))
    write_binary(tmp_path / "ours", read_arpa(tmp_path / "arpa"))
    files = [str(tmp_path / "arpa"), str(tmp_path / "theirs")]
    subprocess.run(["build_binary", "-q", "8", "-b", "8", "-a", "22", "trie", *files], check=True, capture_output=True)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_binaries_need_two_orders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wanted 2 to 6"):
        write_binary(tmp_path / "binary", build(random_text(15), 1, fallback=FALLBACK))


def test_murmur_hash() -> None:
    assert len({murmur_hash(b"x" * n) for n in range(40)}) == 40
    assert murmur_hash(b"") == 0  # the seed


# ----------------------------------------------------------------------------------------------- pruning, interpolation


def divergence(model: NGramModel, dropped: Ngram) -> float:
    """Relative rise of the perplexity when one n-gram is dropped: exp of KL of the histories' distributions, summed."""
    table = as_table(model)
    history: Ngram = dropped[:-1]
    weight = 1.0
    for i in range(len(history)):
        word = EOS if history[i] == BOS else history[i]
        weight *= 10 ** log_prob(table, word, history[:i])
    words = [word for word in model.words if word != BOS]
    listed = [g[-1] for g in table if g[:-1] == history and g != dropped]
    left = 1 - sum(10 ** table[(*history, w)][0] for w in listed)
    lower = 1 - sum(10 ** log_prob(table, w, history[1:]) for w in listed)
    backoff = math.log10(left / lower)
    total = 0.0
    for word in words:
        before = log_prob(table, word, history)
        after = table[(*history, word)][0] if word in listed else backoff + log_prob(table, word, history[1:])
        total += 10**before * (before - after) * math.log(10)
    return math.expm1(weight * total)


def test_pruning_drops_what_changes_the_model_least() -> None:
    model = build(random_text(16, 150), 3, fallback=FALLBACK)
    threshold = 2e-4
    pruned = prune(model, threshold)
    kept = set(as_table(pruned))
    longest = [gram for gram in as_table(model) if len(gram) == 3]
    losses = {gram: divergence(model, gram) for gram in longest[::3]}
    for gram, loss in losses.items():
        if abs(loss - threshold) > 1e-6:
            assert (gram in kept) == (loss > threshold), (gram, loss)
    assert 0 < sum(gram in kept for gram in losses) < len(losses)
    for whole in kept:
        assert len(whole) == 1 or {whole[1:], whole[:-1]} <= kept
    assert_sums_to_one(pruned)


def test_pruning_nothing_and_everything() -> None:
    model = build(random_text(17), 3, [0, 0, 1])
    same, least = prune(model, 0), prune(model, 1e9)
    assert as_table(same).keys() == as_table(model).keys()
    for gram, values in as_table(model).items():
        assert as_table(same)[gram] == pytest.approx(values, abs=2e-4) if len(gram) == 1 else True
    assert least.order == 1
    with pytest.raises(ConfigError, match="threshold"):
        prune(model, -1)


def test_a_mixture_has_the_models_probabilities() -> None:
    one, two = build(random_text(18), 3, [0, 0, 1]), build(random_text(19), 2)
    merged = interpolate([one, two], [3, 1])
    tables = [as_table(one), as_table(two)]
    assert set(as_table(merged)) == set(tables[0]) | set(tables[1])
    for gram, (p, _) in as_table(merged).items():
        if gram[-1] == BOS:
            continue
        parts = [10 ** log_prob(t, gram[-1], gram[:-1]) if (gram[-1],) in t else 0 for t in tables]
        assert 10**p == pytest.approx(0.75 * parts[0] + 0.25 * parts[1], rel=1e-4), gram
    assert_sums_to_one(merged)


def test_a_mixture_of_a_model_with_itself_is_the_model(model: NGramModel) -> None:
    merged = interpolate([model, model], [1, 1])
    for sentence in random_text(20, 20):
        assert merged.score(sentence) == pytest.approx(model.score(sentence), abs=1e-3)


def test_fitted_weights_are_the_best() -> None:
    one, two = build(random_text(21), 2), build(random_text(22, 2000, words=100), 2)
    known = one.ids.keys() & two.ids.keys()  # so that all perplexities are over the same words
    heldout = [[word for word in sentence if word in known] for sentence in random_text(23, 100)]
    mixture = fit_weights([one, two], heldout)
    assert mixture.weights.sum() == pytest.approx(1)
    assert mixture.perplexity <= min(mixture.perplexities) * (1 + 1e-6)
    for weight in np.linspace(0.01, 0.99, 30):
        assert fit_weights([one, two], heldout, [weight, 1 - weight]).perplexity >= mixture.perplexity * (1 - 1e-5)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [float("nan"), 1]])
def test_weights_that_do_not_fit(model: NGramModel, weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="weights"):
        interpolate([model, model], weights)


def test_heldout_text_without_a_known_word(model: NGramModel) -> None:
    with pytest.raises(TextError, match="held-out"):
        fit_weights([model], [])
