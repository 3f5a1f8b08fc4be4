// The plot of traffic by verdict, and its legend.

import uPlot from "./uplot/uPlot.esm.js";
import { colors, timeChart } from "./chart.js";
import { byId, element, keepChildren, setAttribute, setText, svg } from "./dom.js";
import { rate, timeOfDay } from "./format.js";
import { SPAN_S, VERDICT_NAMES, VERDICTS } from "./history.js";

/** The plot of a `History`, in packets or bits per second, on a linear or a logarithmic scale. */
export class TrafficPlot {
    #history;
    #plot = null;
    #unit = "packets";
    #scale = "linear";
    #hidden = new Set();

    constructor(history) {
        this.#history = history;
        new ResizeObserver(() => this.#resize()).observe(byId("plot"));
        // The canvas has its colours from the style sheet, which has them from the scheme.
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild());
    }

    /** Plots `history` from now on, and what was there before no more. */
    replaceHistory(history) {
        this.#history = history;
        this.refresh();
    }

    /** Plots `packets` or `bits`. */
    setUnit(unit) {
        this.#unit = unit;
        this.#rebuild();
    }

    /** Plots on a `linear` or a `log` scale. */
    setScale(scale) {
        this.#scale = scale;
        this.#rebuild();
    }

    /** Plots what the history has now. */
    refresh() {
        if (this.#plot === null) {
            this.#rebuild();
        } else {
            this.#plot.setData(this.#history.columns(this.#unit));
        }
        this.#showLegend();
    }

    #rebuild() {
        const container = byId("plot");
        if (container.clientWidth === 0) {
            return;
        }
        this.#plot?.destroy();
        this.#plot = new uPlot(this.#options(container), this.#history.columns(this.#unit), container);
        this.#showLegend();
    }

    #resize() {
        const { clientWidth: width, clientHeight: height } = byId("plot");
        if (this.#plot === null) {
            this.#rebuild();
        } else if (width > 0) {
            this.#plot.setSize({ width, height });
        }
    }

    #options(container) {
        const color = colors();
        const options = timeChart(container, {
            span: () => this.#span(),
            range: fromZero,
            format: rate,
            axis: this.#labels(),
            lines: VERDICTS.map((verdict) => ({
                label: VERDICT_NAMES[verdict],
                show: !this.#hidden.has(verdict),
                stroke: color(verdict),
                dash: DASHES[verdict],
            })),
            onCursor: () => this.#showLegend(),
        });
        if (this.#scale === "log") {
            Object.assign(options.scales.y, { distr: 4, asinh: 1 });
        }
        return options;
    }

    /** What uPlot is told about the labels of a logarithmic scale, which it makes too many of. */
    #labels() {
        return this.#scale === "log" ? { splits: decades, filter: (_, splits) => splits } : {};
    }

    /** Always five minutes, also when there are only a few seconds yet. */
    #span() {
        const now = this.#history.times.at(-1) ?? Date.now() / 1000;
        return [now - SPAN_S, now];
    }

    /** Shows the numbers under the cursor, else the latest. */
    #showLegend() {
        const { times } = this.#history;
        const index = this.#plot?.cursor.idx ?? times.length - 1;
        const lines = this.#history.rates[this.#unit];
        const items = ["when", ...VERDICTS];
        keepChildren(byId("legend"), items, (item) => item, (item) => this.#makeLegendItem(item), (child, item) => {
            if (item === "when") {
                setText(child, index >= 0 && index < times.length ? timeOfDay(times[index] * 1000) : "");
                return;
            }
            setAttribute(child.firstElementChild, "aria-pressed", !this.#hidden.has(item));
            const value = lines[item][index] ?? null;
            setText(child.querySelector("[data-legend]"), value === null ? "–" : rate(value));
        });
    }

    #makeLegendItem(item) {
        if (item === "when") {
            return element("li", { class: "when" });
        }
        const line = svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, class: `line ${item}`, "stroke-dasharray": DASHES[item].join(" ") });
        const value = element("span", { "data-legend": item, class: "number" }, "–");
        const button = element("button", { type: "button", class: "series", title: "Show or hide this line" },
            svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, line), VERDICT_NAMES[item], value);
        button.addEventListener("click", () => {
            const hide = !this.#hidden.has(item);
            this.#hidden[hide ? "add" : "delete"](item);
            this.#plot?.setSeries(1 + VERDICTS.indexOf(item), { show: !hide });
            this.#showLegend();
        });
        return element("li", {}, button);
    }
}

/** From nothing to a little more than the largest value, and never so close that a single packet looks like a flood. */
function fromZero(_plot, _least, most) {
    return [0, Math.max(10, (most ?? 0) * 1.05)];
}

/** The places of labels on a logarithmic scale: nothing, and powers of ten, of which not too many. */
function decades(_plot, _axis, _least, most) {
    const powers = Array.from({ length: Math.floor(Math.log10(most)) }, (_, index) => index + 1);
    const step = Math.ceil(powers.length / MOST_DECADES);
    return [0, ...powers.filter((power) => power % step === 0).map((power) => 10 ** power)];
}

const MOST_DECADES = 6;

/** Each line differs in more than its colour. */
const DASHES = {
    accepted: [],
    outbound: [12, 4],
    best_effort: [2, 3],
    control: [8, 3, 2, 3],
    dropped: [5, 3],
};
