"""An evaluation as one HTML file, which needs no network: figures, tables, and every utterance aligned and audible."""

import base64
import html
import os
from collections.abc import Collection
from pathlib import Path

from asr.evaluation.evaluate import Evaluation
from asr.evaluation.report import Table, tables
from asr.evaluation.scoring import Alignment

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #d33; --add: #06c; --gone: #a60; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { cursor: pointer; white-space: nowrap; user-select: none; } th:hover { text-decoration: underline; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 0 2rem; align-items: start; }
.tables > section { overflow: auto; max-height: 28rem; } .note { color: GrayText; }
.big { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; } .big b { font-size: 1.6rem; display: block; }
.sub { color: var(--bad); } .sub s { opacity: .6; } .del { color: var(--gone); text-decoration: line-through; }
.ins { color: var(--add); text-decoration: underline; }
input { font: inherit; padding: .3rem .6rem; width: 20rem; max-width: 100%; margin-bottom: .5rem; }
audio { height: 1.8rem; width: 13rem; } td.id { overflow-wrap: anywhere; min-width: 8rem; max-width: 16rem; }
"""

SCRIPT = """
for (const head of document.querySelectorAll('th')) head.addEventListener('click', () => {
  const table = head.closest('table'), body = table.tBodies[0], place = head.cellIndex;
  const up = head.dataset.up = head.dataset.up === '1' ? '0' : '1';
  const value = row => { const text = row.cells[place].textContent, number = parseFloat(text);
    return isNaN(number) ? text : number; };
  const rows = [...body.rows].map(row => [value(row), row]);
  rows.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === 'number' ? -1 : 1)
    * (up === '1' ? -1 : 1));
  body.append(...rows.map(([, row]) => row));
});
const search = document.getElementById('search'), rows = [...document.querySelectorAll('#utterances tbody tr')];
search.addEventListener('input', () => { const wanted = search.value.toLowerCase();
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted); });
"""

EMBED_MEGABYTES = 50
"""Sound that is embedded in one page, at most; what comes after is linked."""


def html_report(
    result: Evaluation, title: str, folder: Path, vocabulary: Collection[str] | None = None, embed_audio: bool = False
) -> str:
    """The page. folder: where it will stand, from which the sound files are linked unless embedded."""
    rate = "PER" if result.unit == "phone" else "WER"
    figures = [(rate, result.words.rate, "wer")]
    figures += [] if result.unit == "phone" else [("CER", result.characters.rate, "cer")]
    figures += [("Sentences with errors", result.sentence_error_rate, "ser")]
    blocks = "".join(
        f"<div>{name}<b>{value:.2%}</b><span class=note>{result.intervals[key].describe()}</span></div>"
        for name, value, key in figures
    )
    blocks += f"<div>Real-time factor<b>{result.rtf:.4f}</b></div>"
    words = html.escape(result.words.describe(result.unit + "s"))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title><style>{STYLE}</style>
<h1>{html.escape(title)}</h1>
<div class="big">{blocks}</div>
<p>{words}; {len(result.ids)} utterances, {result.audio_seconds / 3600:.2f} h. In brackets 95 % confidence intervals, by
bootstrap over {result.interval_unit}. Text scheme before scoring: {result.text_scheme}.</p>
<div class="tables">{"".join(_table(table) for table in tables(result, vocabulary))}</div>
<h2>Utterances</h2>
<p class="note"><span class="sub"><s>said</s> found</span> · <span class="del">left out</span> ·
<span class="ins">put in</span>. A click on a heading sorts.</p>
<input id="search" type="search" placeholder="search in ids, speakers and words" aria-label="search">
<table id="utterances"><thead><tr><th>id<th>speaker<th class="n">seconds<th class="n">errors<th class="n">{rate}
<th class="n">confidence<th>said and found<th>sound</tr></thead>
<tbody>{_utterances(result, folder, embed_audio)}</tbody></table>
<script>{SCRIPT}</script></html>
"""


def _table(table: Table) -> str:
    cells = ["".join(f"<th{_number(i)}>{html.escape(name)}" for i, name in enumerate(table.header))]
    rows = "".join(
        "<tr>" + "".join(f"<td{_number(i)}>{html.escape(cell)}" for i, cell in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    note = f"<p class=note>{html.escape(table.note)}</p>" if table.note else ""
    return (
        f"<section><h2>{html.escape(table.title)}</h2><table><thead><tr>{cells[0]}</tr></thead><tbody>{rows}</tbody>"
        f"</table>{note}</section>"
    )


def _number(column: int) -> str:
    return ' class="n"' if column else ""


def _utterances(result: Evaluation, folder: Path, embed_audio: bool) -> str:
    order = sorted(range(len(result.ids)), key=lambda i: (-result.by_utterance[i].errors, i))
    room = EMBED_MEGABYTES * 1_000_000 if embed_audio else 0
    found = []
    for i in order:
        row, errors = result.utterances[i], result.by_utterance[i]
        path = Path(row.audio_filepath)
        size = path.stat().st_size if room else 0
        embedded = 0 < size <= room
        room -= size if embedded else 0
        source = _source(path, folder, embedded, row.offset, row.duration)
        found.append(
            f'<tr><td class="id">{html.escape(row.id)}<td>{html.escape(row.speaker or "")}'
            f'<td class="n">{row.duration:.1f}<td class="n">{errors.errors}<td class="n">{min(errors.rate, 9.99):.0%}'
            f'<td class="n">{result.hypotheses[i].confidence:.2f}<td>{_aligned(result.alignments[i])}'
            f'<td><audio controls preload="none" src="{source}"></audio></tr>'
        )
    return "".join(found)


def _aligned(alignment: Alignment) -> str:
    parts = []
    for wanted, found in alignment:
        if wanted == found:
            parts.append(html.escape(str(wanted)))
        elif found is None:
            parts.append(f'<span class="del">{html.escape(str(wanted))}</span>')
        elif wanted is None:
            parts.append(f'<span class="ins">{html.escape(found)}</span>')
        else:
            parts.append(f'<span class="sub"><s>{html.escape(wanted)}</s> {html.escape(found)}</span>')
    return " ".join(parts)


def _source(path: Path, folder: Path, embedded: bool, offset: float, duration: float) -> str:
    if embedded:
        return f"data:audio/*;base64,{base64.b64encode(path.read_bytes()).decode()}"
    part = f"#t={offset:g},{offset + duration:g}" if offset else ""
    return html.escape(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix() + part, quote=True)
