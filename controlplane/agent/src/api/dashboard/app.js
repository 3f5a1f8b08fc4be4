// The page as a whole: follows the filter, and hands on what it hears.

import { Refused } from "./api.js";
import { showConnection } from "./connection.js";
import { byId, setAttribute, setText } from "./dom.js";
import { timeOfDay } from "./format.js";
import { History } from "./history.js";
import { showBusy, showPorts, showWorkers } from "./machine.js";
import { showState, showStatus, showUptime } from "./overview.js";
import { TrafficPlot } from "./plots.js";
import { signIn } from "./sign_in.js";
import { Stream } from "./stream.js";
import { Timelines } from "./timelines.js";
import { showDrops, showTotals } from "./totals.js";

/** What is shown while somebody is signed in. */
class Dashboard {
    #api = null;
    #stream = null;
    #history = new History();
    #plot = new TrafficPlot(this.#history);
    #timelines = new Timelines(() => this.#now());
    #explanations = {};
    #connection = { kind: "connecting" };
    #clockOffset = 0;
    #startedAt = null;
    #seen = "";
    #asked = { status: 0, machine: 0 };

    constructor() {
        onChoice("unit", (unit) => this.#plot.setUnit(unit));
        onChoice("scale", (scale) => this.#plot.setScale(scale));
        byId("retry").addEventListener("click", () => this.#stream?.retryNow());
        setInterval(() => this.#tick(), TICK_MS);
    }

    /** Shows what `api` tells; `onRefused` is called once if it does not tell. */
    async start(api, onRefused) {
        this.#api = api;
        this.#explanations = await explanations();
        if (api !== this.#api) {
            return;
        }
        this.#stream = new Stream(api, {
            onSample: (sample) => this.#onSample(sample),
            onState: (state) => this.#onConnection(state),
            onRefused: (refused) => {
                this.stop();
                onRefused(refused);
            },
        });
        this.#timelines.start(api);
    }

    /** Shows nothing any more, and forgets the plot. */
    stop() {
        this.#stream?.stop();
        this.#timelines.stop();
        this.#stream = null;
        this.#api = null;
        this.#forget();
        setAttribute(byId("connection"), "data-connection", "none");
        setText(byId("connection"), "");
        setAttribute(byId("state"), "data-state", "unknown");
        setText(byId("state"), "");
        setText(byId("isd-as"), "");
        setText(byId("clock"), "");
        document.title = "photongate";
    }

    #onSample(sample) {
        // The clock of this machine may be wrong; what is counted down ends by the filter's.
        this.#clockOffset = sample.at_unix_ms - Date.now();
        const since = this.#history.add(sample);
        byId("plot-empty").hidden = sample.traffic.received.packets > 0;
        this.#plot.refresh();
        showTotals(sample, since);
        showDrops(sample, since, this.#explanations);
        showState(sample, this.#now());
        showBusy(sample.busy);
        this.#timelines.tick(sample);
        this.#noticeChanges(sample);
        const isdAs = byId("isd-as").textContent;
        document.title = `${sample.ready ? "✓" : "⚠"} ${isdAs || "photongate"}`;
        this.#tick();
    }

    /** Asks at once for what samples do not say if something else must have changed with them. */
    #noticeChanges(sample) {
        const seen = `${sample.ready} ${sample.as_list_generation} ${sample.peers.dark} ${sample.peers.degraded}`;
        if (seen !== this.#seen) {
            this.#seen = seen;
            this.#asked.status = 0;
        }
    }

    #onConnection(state) {
        const was = this.#connection.kind;
        this.#connection = state;
        if (state.kind === "live" && was !== "live") {
            // It may be another filter by now, or the same after a restart.
            this.#asked = { status: 0, machine: 0 };
        }
        this.#tick();
    }

    #tick() {
        if (this.#stream === null) {
            return;
        }
        showConnection(this.#connection);
        const now = this.#now();
        setText(byId("clock"), `${timeOfDay(now)} on the filter's clock`);
        showUptime(this.#startedAt, now);
        if (this.#connection.kind === "live" && !document.hidden) {
            this.#askEvery("status", STATUS_EVERY_MS, () => this.#askStatus());
            this.#askEvery("machine", MACHINE_EVERY_MS, () => this.#askMachine());
        }
    }

    #askEvery(what, milliseconds, ask) {
        if (Date.now() - this.#asked[what] < milliseconds) {
            return;
        }
        this.#asked[what] = Date.now();
        // Whatever is wrong, the stream meets it too, and says so.
        ask().catch((error) => error instanceof Refused || error instanceof TypeError || Promise.reject(error));
    }

    async #askStatus() {
        const api = this.#api;
        const status = await api.get("status");
        if (api !== this.#api) {
            return;
        }
        if (this.#startedAt !== null && this.#startedAt !== status.started_at) {
            this.#forget();
        }
        this.#startedAt = status.started_at;
        showStatus(status);
        showUptime(status.started_at, this.#now());
    }

    async #askMachine() {
        const api = this.#api;
        const [workers, ports] = await Promise.all([api.get("workers"), api.get("ports")]);
        if (api === this.#api) {
            showWorkers(workers);
            showPorts(ports);
        }
    }

    #forget() {
        this.#startedAt = null;
        this.#history = new History();
        this.#plot.replaceHistory(this.#history);
    }

    #now() {
        return Date.now() + this.#clockOffset;
    }
}

/** A sentence for each reason to drop a packet. They come with the page and need no token. */
async function explanations() {
    const response = await fetch("assets/reasons.json").catch(() => null);
    return response?.ok ? response.json() : {};
}

function onChoice(name, action) {
    for (const input of document.querySelectorAll(`input[name="${name}"]`)) {
        input.addEventListener("change", () => action(input.value));
    }
}

/** How often countdowns are shown anew. */
const TICK_MS = 500;
const STATUS_EVERY_MS = 10_000;
const MACHINE_EVERY_MS = 4_000;

signIn(new Dashboard(), "filter");
