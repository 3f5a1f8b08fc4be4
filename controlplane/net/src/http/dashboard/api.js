// Questions to the server's HTTP interface, with the token of whoever looks at the page.

/** The interface, as seen by the holder of `token`; without one, by whoever the client certificate names. */
export class Api {
    #headers;

    constructor(token) {
        this.#headers = token === null ? {} : { Authorization: `Bearer ${token}` };
    }

    /** The answer to GET `path`, read as JSON. Throws `Refused`, or `TypeError` if nobody answers. */
    async get(path, parameters = {}, signal = undefined) {
        const query = new URLSearchParams(parameters).toString();
        const response = await this.fetch(query === "" ? path : `${path}?${query}`, "application/json", signal);
        return response.json();
    }

    /** The response to GET `path`, if it is a success. Throws as `get` does. */
    async fetch(path, accept, signal = undefined) {
        // Relative to the page, so that it also works behind a proxy that gives the server a folder of its own.
        const response = await fetch(`api/v1/${path}`, {
            headers: { ...this.#headers, Accept: accept },
            cache: "no-store",
            credentials: "same-origin",
            redirect: "error",
            signal,
        });
        if (!response.ok) {
            throw await Refused.from(response);
        }
        return response;
    }
}

/** An answer that is none: the server said why not (RFC 9457). */
export class Refused extends Error {
    /** The HTTP status. */
    status;
    /** How many milliseconds to wait before the next attempt, if the server says so. */
    retryAfter;

    constructor(status, message, retryAfter) {
        super(message);
        this.status = status;
        this.retryAfter = retryAfter;
    }

    static async from(response) {
        const problem = await response.json().catch(() => ({}));
        const message = problem.detail ?? problem.title ?? `the server answered with status ${response.status}`;
        const seconds = Number(response.headers.get("Retry-After"));
        return new Refused(response.status, message, seconds > 0 ? seconds * 1000 : null);
    }

    /** Whether another token might help. */
    get isForCaller() {
        return this.status === 401 || this.status === 403;
    }
}
