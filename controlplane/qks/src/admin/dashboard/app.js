// The page as a whole: follows the key server, and hands on what it hears.

import { showAlarms } from "./alarms.js";
import { Refused } from "./api.js";
import { showConnection } from "./connection.js";
import { byId, setAttribute, setText } from "./dom.js";
import { duration, instant, parseInstant, timeOfDay, whole } from "./format.js";
import { showLinks } from "./links.js";
import { NetworkMap } from "./map.js";
import { KeyRates } from "./rates.js";
import { signIn } from "./sign_in.js";
import { showStock } from "./stock.js";
import { Stream } from "./stream.js";

/** What is shown while somebody is signed in. */
class Dashboard {
    #api = null;
    #stream = null;
    #rates = new KeyRates();
    #map = new NetworkMap();
    #connection = { kind: "connecting" };
    #clockOffset = 0;
    #startedAt = null;
    #asked = { status: 0, routes: 0 };

    constructor() {
        byId("retry").addEventListener("click", () => this.#stream?.retryNow());
        for (const input of document.querySelectorAll("input[name='span']")) {
            input.addEventListener("change", () => this.#rates.setSpan(Number(input.value)));
        }
        setInterval(() => this.#tick(), TICK_MS);
    }

    /** Shows what `api` tells; `onRefused` is called once if it does not tell. */
    start(api, onRefused) {
        this.#api = api;
        this.#stream = new Stream(api, {
            onSample: (sample) => this.#onSample(sample),
            onState: (state) => this.#onConnection(state),
            onRefused: (refused) => {
                this.stop();
                onRefused(refused);
            },
        });
    }

    /** Shows nothing any more, and forgets what was. */
    stop() {
        this.#stream?.stop();
        this.#stream = null;
        this.#api = null;
        this.#forget();
        setAttribute(byId("connection"), "data-connection", "none");
        setText(byId("connection"), "");
        setAttribute(byId("state"), "data-state", "unknown");
        setText(byId("state"), "");
        setText(byId("server"), "");
        setText(byId("clock"), "");
        document.title = "photongate qks";
    }

    #onSample(sample) {
        // The clock of this machine may be wrong; ages are those by the key server's.
        this.#clockOffset = sample.at_unix_ms - Date.now();
        const rates = this.#rates.add(sample);
        setText(byId("server"), sample.id);
        const sources = sample.links.flatMap((link) => link.sources);
        showFact("neighbours", sample.neighbours.length);
        showFact("neighbours-up", sample.neighbours.filter(({ up }) => up).length);
        showFact("sources", sources.length);
        showFact("sources-producing", sources.filter(({ phase }) => phase === "producing").length);
        showFact("saes", sample.saes);
        showFact("keys-delivered", sample.keys_delivered);
        showAlarms(sample.alarms, this.#now());
        showLinks(sample.links, rates);
        showStock(sample);
        this.#map.showSample(sample);
        document.title = `${sample.alarms.length === 0 ? "✓" : "⚠"} ${sample.id}`;
        this.#tick();
    }

    #onConnection(state) {
        const was = this.#connection.kind;
        this.#connection = state;
        if (state.kind === "live" && was !== "live") {
            // It may be another server by now, or the same after a restart.
            this.#asked = { status: 0, routes: 0 };
        }
        this.#tick();
    }

    #tick() {
        if (this.#stream === null) {
            return;
        }
        showConnection(this.#connection);
        const now = this.#now();
        setText(byId("clock"), `${timeOfDay(now)} on the key server's clock`);
        this.#showUptime();
        if (this.#connection.kind === "live" && !document.hidden) {
            this.#askEvery("status", STATUS_EVERY_MS, (api) => this.#askStatus(api));
            this.#askEvery("routes", ROUTES_EVERY_MS, (api) => this.#askRoutes(api));
        }
    }

    #askEvery(what, milliseconds, ask) {
        if (Date.now() - this.#asked[what] < milliseconds) {
            return;
        }
        this.#asked[what] = Date.now();
        // Whatever is wrong, the stream meets it too, and says so.
        ask(this.#api).catch((error) => error instanceof Refused || error instanceof TypeError || Promise.reject(error));
    }

    async #askStatus(api) {
        const status = await api.get("status");
        if (api !== this.#api) {
            return;
        }
        if (this.#startedAt !== status.started_at) {
            this.#forget();
            this.#startedAt = status.started_at;
            this.#rates.load(await api.get("history", { limit: HISTORY_SAMPLES }));
        }
        setAttribute(byId("state"), "data-state", status.ready ? "ready" : "not-ready");
        setText(byId("state"), status.ready ? "ready" : "not ready");
        setAttribute(byId("state"), "title", status.not_ready_because.join("; "));
        setText(fact("version"), status.version);
        this.#showUptime();
    }

    async #askRoutes(api) {
        const routes = await api.get("routes");
        if (api === this.#api) {
            this.#map.showRoutes(routes);
        }
    }

    #showUptime() {
        const started = parseInstant(this.#startedAt);
        if (started !== null) {
            setText(fact("uptime"), duration(this.#now() - started));
            setAttribute(fact("uptime"), "title", `since ${instant(started)}`);
        }
    }

    #forget() {
        this.#startedAt = null;
        this.#rates.forget();
        this.#map.forget();
    }

    #now() {
        return Date.now() + this.#clockOffset;
    }
}

function fact(name) {
    return document.querySelector(`[data-fact="${name}"]`);
}

function showFact(name, number) {
    setText(fact(name), whole(number));
    setAttribute(fact(name), "data-value", number);
}

/** How often ages are shown anew. */
const TICK_MS = 500;
const STATUS_EVERY_MS = 10_000;
const ROUTES_EVERY_MS = 10_000;
/** Six hours. */
const HISTORY_SAMPLES = 2160;

signIn(new Dashboard(), "key server");
