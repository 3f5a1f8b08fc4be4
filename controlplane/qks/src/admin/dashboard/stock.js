// How much key material there is with each neighbour, and who gives it out.

import { byId, element, keepChildren, setAttribute, setText, svg } from "./dom.js";
import { bytes } from "./format.js";

/** Shows the stocks of a sample. */
export function showStock({ neighbours, links }) {
    byId("stock-empty").hidden = neighbours.length > 0;
    // Bars of all neighbours have one scale: the largest stock, so that small ones can be told apart while all are far from full.
    const totals = neighbours.map(({ stock }) => PARTS.reduce((sum, part) => sum + stock[`${part}_bytes`], 0));
    const longest = Math.max(1, ...totals);
    keepChildren(byId("stock"), neighbours, ({ id }) => id, makeNeighbour, (child, neighbour) => {
        const { id, up, down_because: why, stock } = neighbour;
        setAttribute(child, "data-up", up);
        setText(child.querySelector("[data-part='down']"), up ? "" : `does not answer: ${why}`);
        const capacity = Math.max(0, ...links.filter((link) => link.neighbour === id).map((link) => link.capacity_bytes));
        setText(child.querySelector("[data-part='capacity']"), capacity > 0 ? `of at most ${bytes(capacity)}` : "");
        let x = 0;
        for (const part of PARTS) {
            const size = stock[`${part}_bytes`];
            const bar = child.querySelector(`rect.${part}`);
            const width = (WIDTH * size) / longest;
            setAttribute(bar, "x", x);
            setAttribute(bar, "width", width);
            x += width;
            const number = child.querySelector(`[data-stock="${part}"]`);
            setText(number, bytes(size));
            setAttribute(number, "data-value", size);
        }
    });
}

function makeNeighbour({ id }) {
    const bars = PARTS.map((part) => svg("rect", { class: `part ${part}`, y: 0, height: 12, width: 0 }));
    const numbers = PARTS.map((part) => element("span", {}, element("b", { "data-stock": part, class: "number" }), ` ${TEXTS[part]}`));
    return element("li", { "data-neighbour": id },
        element("p", { class: "who" }, element("strong", {}, id), " ", element("small", { "data-part": "capacity" }), " ",
            element("span", { "data-part": "down", class: "trouble" })),
        svg("svg", { class: "bar", viewBox: `0 0 ${WIDTH} 12`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...bars),
        element("p", { class: "numbers" }, ...numbers.flatMap((number) => [number, " "])));
}

const PARTS = ["ready", "unconfirmed", "neighbours"];
const TEXTS = { ready: "ready", unconfirmed: "not confirmed", neighbours: "the neighbour's" };
const WIDTH = 1000;
