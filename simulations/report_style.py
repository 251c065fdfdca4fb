"""The report's style sheet. Colours are variables, set once for light and once for dark."""

STYLE = """
:root {
  color-scheme: light dark; --paper: #fdfcfa; --ink: #1d1c1a; --soft: #66625b; --rule: #e3dfd7;
  --wash: #f5f2ec; --good: #0b6e4f; --bad: #b3261e; --good-wash: #e0f0e8; --bad-wash: #f9e3e0;
  --accent: #2f6fb2; --h0: #1f6fb5; --h1: #c4571b; --h2: #14805e; --h3: #8a4a9e; --h4: #9a7400;
  --h5: #0f7f8c; --h6: #b8326c; --h7: #5d7a1d; --hh: #1d1c1a; --k0: #35506b; --k1: #6e9fc4;
  --k2: #c9a227; --k3: #d98b5f; --k4: #b9b3a7; --k5: #8a6f9e
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171614; --ink: #ece8e1; --soft: #a29c92; --rule: #35322d; --wash: #201e1b;
    --good: #6fcf9f; --bad: #ff9a8c; --good-wash: #17352a; --bad-wash: #45201c; --accent: #6ba8e0;
    --h0: #6fb1ec; --h1: #f0935a; --h2: #56c596; --h3: #c795d9; --h4: #d9b43f; --h5: #5cc4d0;
    --h6: #f07ea9; --h7: #a8c65a; --hh: #ece8e1; --k0: #8fb3d6; --k1: #4f7ea5; --k2: #d9b43f;
    --k3: #e39a70; --k4: #6f6a61; --k5: #b29ac4
  }
}
.c0 { --c: var(--h0) }
.c1 { --c: var(--h1) }
.c2 { --c: var(--h2) }
.c3 { --c: var(--h3) }
.c4 { --c: var(--h4) }
.c5 { --c: var(--h5) }
.c6 { --c: var(--h6) }
.c7 { --c: var(--h7) }
.ch { --c: var(--hh) }
.k0 { --c: var(--k0) }
.k1 { --c: var(--k1) }
.k2 { --c: var(--k2) }
.k3 { --c: var(--k3) }
.k4 { --c: var(--k4) }
.k5 { --c: var(--k5) }

* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 400 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif
}
main { max-width: 69rem; margin: 0 auto; padding: clamp(2rem, 6vw, 5rem) clamp(1.1rem, 4vw, 3rem) 6rem }
h1, h2, .lead {
  font-family: "Iowan Old Style", "Palatino Linotype", Palatino, Charter, Georgia, "Liberation Serif", serif
}
h1 {
  font-size: clamp(2.2rem, 6vw, 3.4rem); line-height: 1.1; font-weight: 600; letter-spacing: -0.015em;
  margin: 0 0 1.6rem; overflow-wrap: anywhere
}
h2 { font-size: 1.65rem; line-height: 1.25; font-weight: 600; letter-spacing: -0.005em; margin: 0 0 1rem }
h3 { font-size: 1rem; font-weight: 650; margin: 2.2rem 0 .4rem }
p { margin: 0 0 1rem; max-width: 44rem; text-wrap: pretty; overflow-wrap: anywhere }
small { font-size: .8rem; color: var(--soft); font-weight: 400 }
code, pre {
  font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .85em
}
section { margin-top: 4.5rem; scroll-margin-top: 1.5rem }
.eyebrow {
  font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; color: var(--soft);
  margin: 0 0 .6rem
}
.lead { font-size: 1.3rem; line-height: 1.5 }
.verdict { font-size: 1.05rem }
.note, td.none { color: var(--soft); font-size: .92rem }
.warning { border-left: 3px solid var(--bad); padding: .1rem 0 .1rem .9rem }
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1.1rem 2rem;
  margin: 2.4rem 0 0; padding: 1.4rem 0; border-block: 1px solid var(--rule)
}
.facts dt { font-size: .8rem; color: var(--soft) }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin-top: 1.2rem; font-size: .92rem }
a {
  color: var(--soft); text-decoration: underline; text-decoration-color: var(--rule);
  text-underline-offset: .25em
}
a:hover { color: var(--ink); text-decoration-color: currentColor }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px }

.scroll { overflow-x: auto; margin: 0 0 1rem }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; line-height: 1.4 }
th, td { text-align: left; padding: .42rem .85rem .42rem 0; vertical-align: middle; font-weight: 400 }
th:last-child, td:last-child { padding-right: 0 }
thead th, thead td { color: var(--soft); font-size: .82rem; vertical-align: bottom; white-space: nowrap }
thead tr:last-child > * { border-bottom: 1px solid var(--rule) }
tbody th {
  font-weight: 600; white-space: nowrap; max-width: 14rem; overflow: hidden; text-overflow: ellipsis
}
tbody th small { display: block; padding-left: 1.1rem }
.n { text-align: right }
b { font-weight: 650 }
.good { color: var(--good) }
.bad { color: var(--bad) }
.results { width: 100% }
.results th[colspan] { color: var(--ink); font-size: .92rem; padding-bottom: .1rem }
.results tbody { border-bottom: 1px solid var(--rule) }
.results tbody tr:first-child > * { padding-top: .8rem }
.results tbody tr:last-child > * { padding-bottom: .8rem }
.results th[rowspan] { vertical-align: top }
.results td { white-space: nowrap }
.results .n { padding-right: .7rem }
.bound td { color: var(--soft) }
.mark {
  display: inline-block; width: .65rem; height: .65rem; border-radius: 50%; background: var(--c);
  margin-right: .45rem
}
.legend .mark { vertical-align: baseline }
.legend {
  list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; padding: 0; margin: 0 0 1.2rem;
  font-size: .92rem
}
.traffic .mark, .legend .mark[class*=" k"] { border-radius: 2px }
.traffic tbody .mark { border-radius: 50% }

.panels {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17.5rem, 100%), 1fr));
  gap: 2rem 2.2rem; align-items: start
}
.matrices { display: flex; flex-wrap: wrap; gap: 2rem 4rem }
figure { margin: 0; min-width: 0 }
figcaption { font-weight: 600; font-size: .92rem; margin-bottom: .5rem }
svg { display: block; max-width: 100%; height: auto; overflow: visible }
.chart { width: 100% }
.chart.wide { width: 44rem; max-width: none; margin: 1rem 0 1.5rem }
svg text { font-size: 11px; fill: var(--soft); font-variant-numeric: tabular-nums }
svg text.name { font-size: 13px; fill: var(--ink) }
.grid { stroke: var(--rule); stroke-width: 1; fill: none }
.line { stroke: var(--c); stroke-width: 2; fill: none; stroke-linejoin: round; stroke-linecap: round }
.line.faint { stroke-width: 1; opacity: .5 }
.dot { fill: var(--c) }
.strip { max-width: none }
.strip .ring { fill: var(--paper); stroke: var(--c); stroke-width: 1.5 }
.strip .disc { fill: var(--c) }
.strip .tick, .strip .cross { stroke: var(--c); stroke-width: 2; fill: none }
.strip .move { stroke: var(--c); stroke-width: 2; opacity: .45 }
.flow { fill: none; stroke: var(--c); opacity: .42 }
.flow:hover { opacity: .75 }
.node { fill: var(--ink) }
.bar { max-width: none }
.part { fill: var(--c); stroke: var(--paper); stroke-width: 1 }
.merges td small { display: block; margin-top: .2rem }
.matrix th, .matrix td { padding: .38rem .6rem; text-align: center }
.matrix tbody th { text-align: left; padding-left: 0 }
.matrix thead td { text-align: left; padding-left: 0 }
.heat {
  background: color-mix(in srgb, var(--accent) calc(var(--share) * 50%), transparent);
  border: 1px solid var(--paper)
}
.chip {
  display: inline-block; font-size: .8rem; line-height: 1.5; padding: 0 .6rem; border-radius: 1rem;
  white-space: nowrap
}
.chip.yes { background: var(--good-wash); color: var(--good) }
.chip.no { background: var(--bad-wash); color: var(--bad) }
.timeline { list-style: none; margin: 1.4rem 0 0 .35rem; padding: 0; border-left: 1px solid var(--rule) }
.timeline > li { padding: 0 0 .9rem 1.5rem }
.timeline h3 { margin: 0 0 .4rem; position: relative }
.timeline h3::before {
  content: ""; position: absolute; left: -1.8rem; top: .5rem; width: .6rem; height: .6rem;
  border-radius: 50%; background: var(--ink); box-shadow: 0 0 0 4px var(--paper)
}
.timeline ul { list-style: none; padding: 0; margin: 0 }
.timeline ul li {
  padding: .15rem 0; display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: baseline
}
.moved { font-variant-numeric: tabular-nums }
.reason { color: var(--soft) }
pre {
  background: var(--wash); padding: 1.2rem 1.4rem; border-radius: .5rem; overflow-x: auto;
  line-height: 1.55; margin: 0
}
.definitions {
  display: grid; grid-template-columns: minmax(10rem, 16rem) minmax(0, 40rem); gap: .9rem 2rem;
  margin: 0
}
.definitions dt { font-weight: 600 }
.definitions dd { margin: 0; color: var(--soft) }
details summary { cursor: pointer; color: var(--soft); margin: 1rem 0 }
@media (max-width: 40rem) {
  .definitions { grid-template-columns: 1fr; gap: .2rem }
  .definitions dd { margin-bottom: .9rem }
  section { margin-top: 3.2rem }
}
@media print {
  main { max-width: none; padding: 0 }
  nav { display: none }
  section { break-inside: avoid-page }
  .scroll { overflow: visible }
}
"""
