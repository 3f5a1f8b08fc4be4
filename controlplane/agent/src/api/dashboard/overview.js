// What an operator wants to know first: is it ready, what is in force, which peers are in trouble.

import { byId, element, keepChildren, setAttribute, setText } from "./dom.js";
import { duration, instant, parseInstant, whole } from "./format.js";

/** Shows what a sample says about the state of the filter. `now` is the filter's clock, in milliseconds since 1970. */
export function showState(sample, now) {
    showReady(sample.ready);
    const { total, with_keys: withKeys, degraded, dark } = sample.peers;
    showFact("peers", total);
    showFact("peers-with-keys", withKeys);
    showFact("degraded", degraded);
    showFact("dark", dark);
    showFact("generation", sample.as_list_generation);
    setAttribute(fact("degraded"), "data-bad", degraded > 0);
    setAttribute(fact("dark"), "data-bad", dark > 0);
    showDegraded(sample, now);
}

/** Shows what `/status` says and samples do not. */
export function showStatus(status) {
    showReady(status.ready);
    setText(byId("isd-as"), status.isd_as);
    setText(fact("version"), status.version);
    setText(fact("origin"), describeOrigin(status.as_list));
    setAttribute(fact("origin"), "title", `SHA-256 ${status.as_list.digest}`);
    const refusal = byId("refusal");
    refusal.hidden = !status.as_list.last_refusal;
    setText(refusal, `The last AS list was refused, this one is still in force: ${status.as_list.last_refusal}`);
    byId("not-ready").hidden = status.ready;
    const reasons = status.not_ready_because;
    keepChildren(byId("reasons-not-ready"), reasons, (reason) => reason, (reason) => element("li", {}, reason), () => {});
}

/** Shows for how long the filter has been running. */
export function showUptime(startedAt, now) {
    const started = parseInstant(startedAt);
    if (started !== null) {
        setText(fact("uptime"), duration(now - started));
        setAttribute(fact("uptime"), "title", `since ${instant(started)}`);
    }
}

/** What is wrong with a peer's keys, as sentences: why, what is done about it, and when it goes dark. */
export function describeDegraded(degraded, now) {
    const at = (text) => parseInstant(text) ?? now;
    const next = degraded.next_attempt_at === null ? "" : `, next attempt in ${duration(at(degraded.next_attempt_at) - now)}`;
    const attempts = `${whole(degraded.attempts)} ${degraded.attempts === 1 ? "attempt" : "attempts"}`;
    return {
        reason: degraded.reason,
        attempts: `for ${duration(now - at(degraded.since))}, ${attempts}${next}`,
        dark: describeDark(degraded, at, now),
    };
}

function describeDark(degraded, at, now) {
    if (degraded.is_dark) {
        return degraded.dark_at === null ? "dark" : `dark for ${duration(now - at(degraded.dark_at))}`;
    }
    return degraded.dark_at === null ? "not yet dark" : `dark in ${duration(at(degraded.dark_at) - now)}`;
}

function showReady(ready) {
    const badge = byId("state");
    setAttribute(badge, "data-state", ready ? "ready" : "not-ready");
    setText(badge, ready ? "ready" : "not ready");
    byId("not-ready").hidden ||= ready;
}

function showDegraded(sample, now) {
    const { degraded } = sample;
    byId("degraded-panel").hidden = degraded.length === 0;
    const key = ({ peer }) => `${peer.isd_as}/${peer.drkey_protocol}`;
    keepChildren(byId("degraded"), degraded, key, makeDegraded, (child, item) => {
        const said = describeDegraded(item.degraded, now);
        setAttribute(child, "data-dark", item.degraded.is_dark);
        for (const [what, text] of Object.entries({ name: item.name ?? "", ...said })) {
            setText(child.querySelector(`[data-degraded="${what}"]`), text);
        }
    });
    const more = sample.peers.degraded - degraded.length;
    byId("degraded-more").hidden = more <= 0;
    setText(byId("degraded-more"), `and ${whole(more)} more: see them below with “Degraded only”.`);
}

function makeDegraded({ peer }) {
    const part = (name, what) => element(name, { "data-degraded": what });
    return element("li", { "data-peer": peer.isd_as },
        element("p", { class: "who" }, element("strong", {}, peer.isd_as), " ", part("span", "name"), " ",
            element("small", {}, `protocol ${peer.drkey_protocol}`)),
        part("p", "dark"), part("p", "reason"), part("p", "attempts"));
}

function describeOrigin({ origin, applied_at: appliedAt }) {
    const applied = parseInstant(appliedAt);
    const when = applied === null ? "" : `, ${instant(applied)}`;
    switch (origin.kind) {
        case "file":
            return `from ${origin.path}${when}`;
        case "http":
            return `put over HTTP by ${origin.by}${when}`;
        case "last_good":
            return `the last good one, from before the start${when}`;
        default:
            return `${origin.kind}${when}`;
    }
}

function fact(name) {
    return document.querySelector(`[data-fact="${name}"]`);
}

function showFact(name, number) {
    setText(fact(name), whole(number));
}
