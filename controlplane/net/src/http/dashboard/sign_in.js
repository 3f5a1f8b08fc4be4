// Asks for a token, keeps it while the tab is open, and shows the dashboard to whoever has one.

import { Api } from "./api.js";
import { byId, setAttribute, setText } from "./dom.js";

/**
 * Shows `dashboard` as soon as somebody has signed in to the `server`, as it is called in sentences:
 *
 * - `start(api, onRefused)` when somebody has;
 * - `stop()` when they have gone.
 */
export function signIn(dashboard, server) {
    const enter = (token) => {
        show("dashboard");
        dashboard.start(new Api(token), (refused) => askForToken(`The ${server} refused this token: ${refused.message}.`));
    };
    byId("token-form").addEventListener("submit", (event) => {
        event.preventDefault();
        const token = byId("token").value.trim();
        if (!/^[\x21-\x7e]+$/.test(token)) {
            askForToken("A token is one word of letters, digits and signs.");
            return;
        }
        sessionStorage.setItem(TOKEN, token);
        enter(token);
    });
    byId("sign-out").addEventListener("click", () => {
        dashboard.stop();
        askForToken("");
    });
    begin(enter);
}

async function begin(enter) {
    const token = sessionStorage.getItem(TOKEN);
    if (token !== null || (await isKnownAlready())) {
        enter(token);
    } else {
        askForToken("");
    }
}

/** Whether the server knows who this is without a token: by the client certificate of the connection. */
async function isKnownAlready() {
    if (location.protocol !== "https:") {
        return false;
    }
    return new Api(null).get("status").then(() => true, () => false);
}

function askForToken(message) {
    sessionStorage.removeItem(TOKEN);
    show("sign-in");
    setText(byId("token-error"), message);
    setAttribute(byId("token"), "aria-invalid", message !== "");
    byId("token").value = "";
    byId("token").focus();
}

function show(what) {
    byId("sign-in").hidden = what !== "sign-in";
    byId("dashboard").hidden = what !== "dashboard";
    byId("sign-out").hidden = what !== "dashboard" || sessionStorage.getItem(TOKEN) === null;
}

/** Where the token is kept: only for this tab, and only for pages of this server. */
const TOKEN = "photongate-token";
