// What plots over time have in common.

import { timeOfDay } from "./format.js";

/** A function that gives the colours of the style sheet, by their names. A canvas has none of its own. */
export function colors() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
}

/**
 * What uPlot is told about a plot in `container`: `lines` over the seconds between the two that `span()` gives, on a scale that
 * `range` gives and with labels that `format` writes. `axis` is what else it is told about these labels; `onCursor()` is called when
 * the cursor moves.
 */
export function timeChart(container, { span, range, format, axis = {}, lines, onCursor }) {
    const color = colors();
    const common = {
        stroke: color("muted"),
        font: `12px ${getComputedStyle(document.documentElement).fontFamily}`,
        grid: { stroke: color("grid"), width: 1 },
        ticks: { show: false },
    };
    return {
        width: container.clientWidth,
        height: container.clientHeight,
        padding: [10, 12, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { size: 7 } },
        scales: { x: { time: true, range: span }, y: { range } },
        axes: [
            { ...common, space: 90, size: 32, gap: 8, values: (_, splits) => splits.map((second) => timeOfDay(second * 1000)) },
            { ...common, size: 58, gap: 6, ...axis, values: (_, splits) => splits.map((value) => format(value)) },
        ],
        series: [{}, ...lines.map((line) => ({ width: 2, spanGaps: false, points: { show: false }, ...line }))],
        hooks: { setCursor: [onCursor] },
    };
}
