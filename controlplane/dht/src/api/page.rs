//! The node at a glance, for people: a page without scripts that reads itself anew.

use std::fmt::Write;

use axum::extract::State;
use axum::response::Html;
use photongate_net::http::{Problem, Read, ReadRefusals};

use super::openapi;
use crate::Contact;
use crate::handle::Handle;
use crate::server::Status;

/// The node at a glance.
#[utoipa::path(
    get, path = "/", tag = openapi::NODE, operation_id = "get_page",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html"), ReadRefusals),
)]
pub(super) async fn page(State(handle): State<Handle>, _: Read) -> Result<Html<String>, Problem> {
    // A node that stops knows nobody.
    let contacts = handle.contacts().await.unwrap_or_default();
    Ok(Html(rendered(&handle.board().status(), &contacts)))
}

/// Nothing in it is text that others chose: ids, addresses, numbers, and sentences of our own.
fn rendered(status: &Status, contacts: &[Contact]) -> String {
    let state = if status.ready { "in the network" } else { "not in the network" };
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
         <title>photongate dht: {state}</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body>\
         <header><h1>photongate dht <small>{state}</small></h1><p><code>{}</code> at {}, {}</p></header><main>",
        status.id, status.address, status.mode
    );
    for sentence in &status.because {
        let _ = write!(page, "<p>{sentence}</p>");
    }
    page.push_str("<section><h2>Now</h2><table>");
    for (name, value) in [
        ("running for", format!("{} s", status.uptime_s)),
        ("nodes known", status.contacts.to_string()),
        ("values held", format!("{}, {} bytes", status.values_held, status.bytes_held)),
        ("values cached", format!("{}, {} bytes", status.values_cached, status.bytes_cached)),
        ("room", format!("{} bytes", status.bytes_limit)),
        ("values sent", format!("{}, {} bytes", status.values_sent, status.value_bytes_sent)),
        ("values received", format!("{}, {} bytes", status.values_received, status.value_bytes_received)),
        ("look-ups", status.look_ups.to_string()),
        ("bans", status.bans.to_string()),
    ] {
        let _ = write!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    page.push_str("</table></section><section><h2>Nodes</h2><table>");
    for contact in contacts.iter().take(SHOWN) {
        let _ = write!(page, "<tr><td><code>{}</code></td><td>{}</td></tr>", contact.id, contact.address);
    }
    page.push_str("</table></section></main></body></html>");
    page
}

const SHOWN: usize = 200;
