//! `[qks]`: the key server that is asked for keys.

use photongate_agent::keys::qks::KeyServerOptions;
use photongate_net::config::{Reported, Section, Value};
use photongate_qks::config::key_server_url;

/// Reads `[qks]`.
pub(super) fn read(qks: &mut Section<'_>) -> Result<KeyServerOptions, Reported> {
    let url = qks.required_with("url", "\"https://qks.example:8443/\"", key_server_url);
    let other_urls = qks.or_with("other_urls", Vec::new(), |urls| urls.items(key_server_url));
    let ca = qks.required_with("ca", "\"ca.pem\"", Value::path);
    let certificate = qks.required_with("certificate", "\"filter.pem\"", Value::path);
    let key = qks.required_with("key", "\"filter-key.pem\"", Value::path);
    let server = qks.required_with("server", "\"CN=qks-a\"", |value| {
        value.text()?.parse().map_err(|error| value.refuse(format!("{error}")))
    });
    Ok(KeyServerOptions {
        url: url?,
        other_urls: other_urls?,
        ca: ca?,
        certificate: certificate?,
        key: key?,
        server: server?,
    })
}
