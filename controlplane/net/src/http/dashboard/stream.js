// The server's events, as they happen, for as long as somebody wants them.
//
// EventSource cannot send a token, so the stream is read through `fetch`. When it breaks it is opened again, later each time.

/**
 * Follows the samples of `api` and tells `listener` about them:
 *
 * - `onSample(sample)`;
 * - `onState(state)`, where `state.kind` is `connecting`, `live`, or `waiting`, the latter with `why` and `until`, the moment of the
 *   next attempt in milliseconds since 1970;
 * - `onRefused(refused)`: the token is not accepted; the stream has ended for good.
 */
export class Stream {
    #api;
    #listener;
    #stopped = new AbortController();
    #wake = () => {};

    constructor(api, listener) {
        this.#api = api;
        this.#listener = listener;
        this.#run();
    }

    /** Ends the stream. The listener hears no more. */
    stop() {
        this.#stopped.abort();
        this.#wake();
    }

    /** Does not wait any longer for the next attempt. */
    retryNow() {
        this.#wake();
    }

    async #run() {
        let failures = 0;
        while (!this.#stopped.signal.aborted) {
            this.#tell("onState", { kind: "connecting" });
            let failure;
            try {
                for await (const sample of this.#samples()) {
                    if (this.#stopped.signal.aborted) {
                        return;
                    }
                    this.#tell("onState", { kind: "live" });
                    this.#tell("onSample", sample);
                    failures = 0;
                }
                failure = new Error("the server ended the stream");
            } catch (error) {
                failure = error;
            }
            if (failure.isForCaller) {
                this.#tell("onRefused", failure);
                return;
            }
            failures += 1;
            await this.#pause(failure, failure.retryAfter ?? backOff(failures));
        }
    }

    async *#samples() {
        const attempt = new AbortController();
        const giveUp = () => attempt.abort(new Error("the server has fallen silent"));
        const stop = () => attempt.abort(new Error("stopped"));
        this.#stopped.signal.addEventListener("abort", stop);
        let silence = setTimeout(giveUp, SILENCE_MS);
        try {
            const response = await this.#api.fetch("events", "text/event-stream", attempt.signal);
            for await (const { name, data } of events(response.body)) {
                clearTimeout(silence);
                silence = setTimeout(giveUp, SILENCE_MS);
                if (name === "sample") {
                    yield JSON.parse(data);
                }
            }
        } finally {
            clearTimeout(silence);
            this.#stopped.signal.removeEventListener("abort", stop);
            attempt.abort();
        }
    }

    /** Waits until it is time for the next attempt, somebody wants it now, or the machine is on a network again. */
    async #pause(failure, milliseconds) {
        this.#tell("onState", { kind: "waiting", why: reason(failure), until: Date.now() + milliseconds });
        await new Promise((resolve) => {
            const timer = setTimeout(resolve, milliseconds);
            this.#wake = () => {
                clearTimeout(timer);
                resolve();
            };
            addEventListener("online", this.#wake, { once: true });
        });
        removeEventListener("online", this.#wake);
        this.#wake = () => {};
    }

    #tell(what, value) {
        if (!this.#stopped.signal.aborted) {
            this.#listener[what](value);
        }
    }
}

/** The events in a body of server-sent events (WHATWG HTML, section 9.2.6), without ids. */
export async function* events(body) {
    let name = "message";
    let data = [];
    for await (const line of lines(body)) {
        if (line === "") {
            if (data.length > 0) {
                yield { name, data: data.join("\n") };
            }
            name = "message";
            data = [];
            continue;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") {
            name = value;
        } else if (field === "data") {
            data.push(value);
        }
    }
}

async function* lines(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) {
                return;
            }
            const whole = (rest + value).split(/\r\n|\n|\r(?!$)/);
            rest = whole.pop();
            if (rest.length > LONGEST_LINE) {
                throw new Error("the server sent an event that is too long");
            }
            yield* whole;
        }
    } finally {
        reader.cancel().catch(() => {});
    }
}

/** How long to wait after so many failures in a row: 1, 2, 4 … 30 s, and up to half of it more, so that pages do not come all at once. */
function backOff(failures) {
    const longest = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
    return longest * (1 + Math.random() / 2);
}

function reason(failure) {
    // What fetch says differs from browser to browser and tells operators nothing.
    return failure instanceof TypeError ? "the server does not answer" : failure.message;
}

/** A sample comes every second; after so long without one the connection is taken for dead. */
const SILENCE_MS = 10_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** A sample has a few kilobytes. */
const LONGEST_LINE = 1 << 20;
