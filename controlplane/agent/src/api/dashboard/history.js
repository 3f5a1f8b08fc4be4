// The last five minutes: counters become rates.

/** The lines of the plot, and of every other list of verdicts, in their order. */
export const VERDICTS = ["accepted", "outbound", "best_effort", "control", "dropped"];

/** What people call a verdict. */
export const VERDICT_NAMES = {
    received: "received",
    accepted: "accepted",
    outbound: "outbound",
    best_effort: "best effort",
    control: "control",
    dropped: "dropped",
};

/** What a counter of `traffic` says; all drops together are `dropped`. */
export function countOf(traffic, verdict) {
    if (verdict === "received") {
        return traffic.received;
    }
    return verdict === "dropped" ? sum(traffic.dropped) : (traffic.verdicts[verdict] ?? NOTHING);
}

/** Rates by verdict over the last five minutes, and by everything else since the sample before. */
export class History {
    /** Seconds since 1970. */
    times = [];
    /** For each unit and verdict, a rate for each time; null where the connection was lost. */
    rates = { packets: emptyLines(), bits: emptyLines() };
    #last = null;

    /**
     * Takes note of a sample. Returns the one before and how long ago it was, `{ before, seconds }`, or null if there is nothing to
     * compare with: at the start, after a restart, after a gap.
     */
    add(sample) {
        const before = this.#last;
        this.#last = sample;
        const now = sample.at_unix_ms / 1000;
        const seconds = before === null ? 0 : now - before.at_unix_ms / 1000;
        const restarted = before !== null && sample.traffic.received.packets < before.traffic.received.packets;
        if (before !== null && !restarted && seconds <= 0) {
            return null;
        }
        if (before === null || restarted || seconds > LONGEST_STEP_S) {
            this.#push(now, () => null);
            return null;
        }
        this.#push(now, (verdict, unit) => {
            const [after, then] = [countOf(sample.traffic, verdict), countOf(before.traffic, verdict)];
            const change = unit === "bits" ? 8 * (after.bytes - then.bytes) : after.packets - then.packets;
            return Math.max(0, change) / seconds;
        });
        return { before, seconds };
    }

    /** The times, and the rates of all verdicts in one unit, as uPlot takes them. */
    columns(unit) {
        return [this.times, ...VERDICTS.map((verdict) => this.rates[unit][verdict])];
    }

    #push(now, rateOf) {
        this.times.push(now);
        for (const [unit, lines] of Object.entries(this.rates)) {
            for (const verdict of VERDICTS) {
                lines[verdict].push(rateOf(verdict, unit));
            }
        }
        const old = this.times.findIndex((time) => time >= now - SPAN_S);
        if (old > 0) {
            this.times.splice(0, old);
            for (const lines of Object.values(this.rates)) {
                VERDICTS.forEach((verdict) => lines[verdict].splice(0, old));
            }
        }
    }
}

/** How far back the plot reaches, in seconds. */
export const SPAN_S = 300;

function sum(counts) {
    return Object.values(counts).reduce(
        (total, count) => ({ packets: total.packets + count.packets, bytes: total.bytes + count.bytes }),
        NOTHING,
    );
}

function emptyLines() {
    return Object.fromEntries(VERDICTS.map((verdict) => [verdict, []]));
}

const NOTHING = { packets: 0, bytes: 0 };
/** A longer step is a gap, over which a rate would be made up. */
const LONGEST_STEP_S = 3.5;
