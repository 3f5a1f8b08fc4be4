// Workers and ports: how busy they are, and what they lose.

import { byId, element, keepChildren, setAttribute, setNumber, setText } from "./dom.js";
import { rate, share, whole } from "./format.js";

/** Shows how busy each worker is: a share from 0 to 1 for each. */
export function showBusy(busy) {
    const workers = busy.map((part, index) => ({ part, index }));
    keepChildren(byId("workers"), workers, ({ index }) => index, makeWorker, (child, { part }) => {
        const meter = child.querySelector(".meter");
        setAttribute(meter, "aria-valuenow", Math.round(part * 100));
        // Not an attribute, which the content security policy would refuse.
        meter.style.setProperty("--share", String(Math.min(1, part)));
        setText(child.querySelector("[data-busy]"), share(part));
    });
}

/** Shows what is wrong with workers, by the answer to `/workers`. */
export function showWorkers(workers) {
    for (const child of byId("workers").children) {
        const worker = workers[Number(child.dataset.key)];
        if (worker !== undefined) {
            setAttribute(child, "data-polling", worker.polling);
            setText(child.querySelector("[data-trouble]"), troubleOf(worker));
        }
    }
}

/** Shows the counters of ports, by the answer to `/ports`. */
export function showPorts(ports) {
    keepChildren(byId("ports").tBodies[0], ports, ({ name }) => name, makePort, (child, port) => {
        const counters = [port.received.packets, port.sent.packets, ...LOSSES.map((loss) => port[loss])];
        counters.forEach((packets, index) => {
            const cell = child.cells[index + 1];
            setNumber(cell, index < 2 ? rate(packets) : whole(packets), packets);
            setAttribute(cell, "title", whole(packets));
            setAttribute(cell, "data-bad", index >= 2 && packets > 0);
        });
    });
    const losing = ports.filter((port) => LOSSES.some((loss) => port[loss] > 0));
    const names = losing.map(({ name }) => name).join(", ");
    setText(byId("ports-lost"), losing.length === 0 ? "No port has lost a packet." : `Packets were lost at: ${names}.`);
}

function troubleOf(worker) {
    const troubles = [
        worker.polling ? "" : "does not poll",
        worker.handoff_lost > 0 ? `${whole(worker.handoff_lost)} lost because it was behind` : "",
        worker.unsuitable > 0 ? `${whole(worker.unsuitable)} lost in several buffers` : "",
    ];
    return troubles.filter((trouble) => trouble !== "").join(", ");
}

function makeWorker({ index }) {
    const label = `worker ${index}`;
    const meter = { class: "meter", role: "meter", "aria-label": `${label} busy, percent`, "aria-valuemin": 0, "aria-valuemax": 100 };
    return element("li", {}, element("span", {}, label), element("span", meter), element("span", { "data-busy": index, class: "number" }),
        element("span", { "data-trouble": index, class: "trouble" }));
}

function makePort({ name }) {
    const cells = ["received", "sent", ...LOSSES].map((unit) => element("td", { "data-port": name, "data-unit": unit }));
    return element("tr", {}, element("th", { scope: "row" }, name), ...cells);
}

const LOSSES = ["missed", "without_buffer", "transmit_lost", "to_kernel_lost"];
