// The network as this server knows it: itself in the middle, its neighbours around it, and servers behind them further out.

import { byId, keepChildren, setAttribute, setText, svg } from "./dom.js";
import { bytes, share } from "./format.js";

/** The map. It shows what samples and routes say, as soon as it knows both. */
export class NetworkMap {
    #sample = null;
    #routes = [];

    constructor() {
        const root = byId("map");
        root.append(svg("g", { class: "edges" }), svg("g", { class: "nodes" }), svg("g", { class: "labels" }));
    }

    /** Shows what a sample says. */
    showSample(sample) {
        this.#sample = sample;
        this.#draw();
    }

    /** Shows what the routes lead over. */
    showRoutes(routes) {
        this.#routes = routes;
        this.#draw();
    }

    /** Shows nothing. */
    forget() {
        this.#sample = null;
        this.#routes = [];
        for (const group of byId("map").children) {
            group.replaceChildren();
        }
    }

    #draw() {
        if (this.#sample === null) {
            return;
        }
        const { places, hidden } = layOut(this.#sample, this.#routes);
        const edges = edgesOf(this.#sample, this.#routes).filter(({ from, to }) => places.has(from) && places.has(to));
        const [lines, nodes, labels] = byId("map").children;
        setAttribute(byId("map"), "viewBox", `0 0 ${SIZE} ${HEIGHT}`);
        keepChildren(lines, edges, ({ key }) => key, ({ key }) => svg("line", { "data-edge": key }), (line, edge) => {
            const [from, to] = [places.get(edge.from), places.get(edge.to)];
            for (const [name, value] of Object.entries({ x1: from.x, y1: from.y, x2: to.x, y2: to.y, class: `edge ${edge.state}` })) {
                setAttribute(line, name, value);
            }
        });
        const said = edges.filter(({ text }) => text !== "");
        keepChildren(labels, said, ({ key }) => key, makeLabel, (label, edge) => {
            const [from, to] = [places.get(edge.from), places.get(edge.to)];
            const [x, y] = [from.x + (to.x - from.x) * 0.5, from.y + (to.y - from.y) * 0.5];
            edge.text.split("\n").forEach((text, index) => {
                const line = label.children[index];
                setText(line, text);
                setAttribute(line, "x", x);
                // One line above the edge, the other below.
                setAttribute(line, "y", y + (index === 0 ? -LINE / 2 : LINE));
            });
        });
        keepChildren(nodes, [...places], ([id]) => id, makeNode, (node, [id, { x, y, state }]) => {
            setAttribute(node, "transform", `translate(${x} ${y})`);
            setAttribute(node, "class", `node ${state}`);
            setText(node.querySelector("text"), short(id));
        });
        setAttribute(byId("map"), "data-hidden", hidden);
    }
}

/** Where each server stands, and how many have no place: there is none for more than a few dozen. */
function layOut({ id: own, neighbours }, routes) {
    const places = new Map([[own, { x: 0, y: 0, state: "own" }]]);
    const up = new Map(neighbours.map((neighbour) => [neighbour.id, neighbour.up]));
    // Rings by how many links away they are; those behind a neighbour stand on its side.
    const rings = [neighbours.map(({ id }) => ({ id, via: id }))];
    for (const { path } of routes) {
        const far = path.length - 2;
        if (far > 0 && !up.has(path.at(-1))) {
            (rings[far] ??= []).push({ id: path.at(-1), via: path[1] });
        }
    }
    const order = new Map(neighbours.map(({ id }, index) => [id, index]));
    rings.slice(0, MOST_RINGS).forEach((ring, index) => {
        const members = (ring ?? []).sort((a, b) => (order.get(a.via) ?? 0) - (order.get(b.via) ?? 0)).slice(0, MOST_IN_RING);
        members.forEach(({ id, via }, place) => {
            const around = index === 0 || members.length > neighbours.length;
            const angle = around ? (2 * Math.PI * place) / members.length : angleOf(places.get(via)) + spread(members, via, id);
            const state = up.has(id) ? (up.get(id) ? "up" : "down") : "far";
            places.set(id, { x: Math.cos(angle) * (index + 1), y: Math.sin(angle) * (index + 1), state });
        });
    });
    fill(places, "x", SIZE, MARGIN_X);
    fill(places, "y", HEIGHT, MARGIN_Y);
    const all = rings.reduce((sum, ring) => sum + (ring?.length ?? 0), 0);
    return { places, hidden: all - (places.size - 1) };
}

/** Stretches what lies between the outermost places to the room there is; what lies on one line is put in the middle. */
function fill(places, axis, room, margin) {
    const all = [...places.values()];
    const [least, most] = [Math.min(...all.map((place) => place[axis])), Math.max(...all.map((place) => place[axis]))];
    const span = most - least;
    for (const place of all) {
        place[axis] = span < 1e-6 ? room / 2 : margin + ((place[axis] - least) / span) * (room - 2 * margin);
    }
}

/** How much to turn away from others behind the same neighbour. */
function spread(members, via, id) {
    const same = members.filter((member) => member.via === via);
    return (same.findIndex((member) => member.id === id) - (same.length - 1) / 2) * 0.5;
}

function angleOf(place) {
    return place === undefined ? 0 : Math.atan2(place.y, place.x);
}

/** The links of this server, with what they hold, and those of others that routes lead over. */
function edgesOf({ id: own, links, neighbours }, routes) {
    const edges = new Map();
    for (const neighbour of neighbours) {
        const its = links.filter((link) => link.neighbour === neighbour.id);
        const sources = its.flatMap((link) => link.sources);
        const phases = sources.map(({ phase }) => phase);
        const state = !neighbour.up || phases.includes("alarm") ? "alarm" : phases.includes("producing") ? "good" : "waiting";
        const ratios = sources.flatMap(({ quality }) => (quality && quality.sifted_bits > 0 ? [quality.qber] : []));
        const text = [`${bytes(neighbour.stock.ready_bytes)} ready`, ratios.length > 0 ? `QBER ${share(Math.max(...ratios))}` : ""];
        edges.set(`${own} ${neighbour.id}`, { from: own, to: neighbour.id, state, text: text.filter((line) => line !== "").join("\n") });
    }
    for (const { path } of routes) {
        for (let index = 1; index + 1 < path.length; index += 1) {
            const [from, to] = [path[index], path[index + 1]];
            const key = `${from} ${to}`;
            if (!edges.has(key) && !edges.has(`${to} ${from}`)) {
                edges.set(key, { from, to, state: "far", text: "" });
            }
        }
    }
    return [...edges].map(([key, edge]) => ({ key, ...edge }));
}

function makeNode([id]) {
    return svg("g", { "data-node": id }, svg("title", {}, id), svg("circle", { r: 8 }), svg("text", { y: -14 }));
}

function makeLabel({ to }) {
    return svg("g", { "data-label": to }, svg("text"), svg("text"));
}

function short(id) {
    return id.length > LONGEST_NAME ? `${id.slice(0, LONGEST_NAME - 1)}…` : id;
}

const SIZE = 520;
const HEIGHT = 300;
const MARGIN_X = 70;
const MARGIN_Y = 45;
const LINE = 18;
const MOST_RINGS = 4;
const MOST_IN_RING = 24;
const LONGEST_NAME = 18;
