//! Operators, who administer any server of a site over its socket.

use std::fs;

use reqwest::{Client, Method};
use serde_json::Value;

use crate::site::{Answer, PATIENCE, Site, answer};

/// Sends a request to the administration of a server, with the token of a role: `admin` or `read`.
pub(crate) async fn administer(
    site: &Site,
    server: &str,
    role: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let state = site.path(server).join("state");
    let token = fs::read_to_string(state.join(format!("{role}.token"))).unwrap();
    let client = Client::builder().unix_socket(state.join("admin.sock")).timeout(PATIENCE).build().unwrap();
    let request = client.request(method, format!("http://localhost/api/v1/{path}")).bearer_auth(token.trim_end());
    answer(match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    })
    .await
}
