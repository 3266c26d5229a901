// Draws makespans over workers: node makespan.mjs ROWS.tsv OUT.svg
import { readFileSync, writeFileSync } from 'node:fs';
import * as vega from 'vega';
import { compile } from 'vega-lite';

const [rowsFile, out] = process.argv.slice(2);
if (!out) {
  console.error('makespan: the rows and the SVG to write are missing');
  process.exit(2);
}
const [header, ...lines] = readFileSync(rowsFile, 'utf8').trimEnd().split('\n').map((line) => line.split('\t'));
const rows = lines.map((line) => Object.fromEntries(line.map((value, column) => [header[column], value])));
for (const row of rows) {
  row.workers = Number(row.workers);
  row.above = Number(row.ratio);
}
const ways = [...new Set(rows.map((row) => row.way))];
const ours = (way) => way.startsWith('Testfleet');
const colours = ['#0072b2', '#009e73', '#56b4e9', '#e69f00', '#d55e00', '#cc79a7', '#8c6d31', '#555555'];
const { spec } = compile({
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  title: { text: 'Makespan above what nothing can be faster than', subtitle: 'simulated on recorded durations; 1 is the best possible', anchor: 'start' },
  background: 'white',
  data: { values: rows },
  facet: { field: 'suite', type: 'nominal', title: null, header: { labelFontSize: 13, labelFontWeight: 'bold' } },
  columns: 2,
  resolve: { scale: { y: 'shared' } },
  spec: {
    width: 380,
    height: 240,
    mark: { type: 'line', point: { size: 18 }, clip: true },
    encoding: {
      x: { field: 'workers', type: 'quantitative', scale: { type: 'log', domain: [2, 1000] }, axis: { values: [2, 5, 10, 20, 50, 100, 200, 500, 1000], format: 'd', title: 'workers' } },
      y: { field: 'above', type: 'quantitative', scale: { type: 'log', domain: [0.98, 4], nice: false }, axis: { values: [1, 1.25, 1.5, 2, 3, 4], format: '.2f', title: 'times the lower bound' } },
      color: { field: 'way', type: 'nominal', title: null, scale: { domain: ways, range: colours }, legend: { orient: 'bottom', columns: 2, labelLimit: 320, symbolType: 'stroke' } },
      strokeWidth: { condition: { test: `indexof(datum.way, 'Testfleet') == 0`, value: 2.5 }, value: 1.2 },
      strokeDash: { field: 'way', type: 'nominal', legend: null, scale: { domain: ways, range: ways.map((way) => (ours(way) ? [1, 0] : [4, 2])) } },
    },
  },
});
const view = new vega.View(vega.parse(spec), { renderer: 'none' });
writeFileSync(out, `${await view.toSVG()}\n`);
