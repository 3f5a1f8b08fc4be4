//! What the HTTP stack could do at most: the same server, whose handler always answers with the same keys.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::routing::post;
use axum::{Json, Router};
use photongate_net::http::{Bounds, MachineOptions, MachineServer};
use photongate_net::tls::{ClientCertificates, ServerTls, TlsFiles};
use photongate_qks::sae::{KeyContainer, NamedKey, refusal};
use zeroize::Zeroizing;

/// Serves until it is killed. The port is written to a file in the folder.
pub(super) async fn serve(folder: &Path, number: u16, size: u32) -> Result<()> {
    let tls = ServerTls::load(TlsFiles {
        certificate: folder.join("pki/qks-a.pem"),
        key: folder.join("pki/qks-a-key.pem"),
        clients: ClientCertificates::Required(folder.join("pki/ca.pem")),
    })?;
    let listeners = vec![((Ipv4Addr::LOCALHOST, 0).into(), Arc::new(tls))];
    let options = MachineOptions { listeners, bounds: Bounds { connections: 4_096, ..Bounds::default() }, refusal };
    let server = MachineServer::bind(options).await?;
    let port = server.addresses().first().context("no address")?.port();
    // As long as the keys of that size are in base64.
    let key = "A".repeat((size as usize / 8).div_ceil(3) * 4);
    let container = move || {
        let keys = (0..number).map(|index| NamedKey {
            key_ID: photongate_qks::key_id::AssignmentId::from_bytes([7; 14]).key(index),
            key: Zeroizing::new(key.clone()),
        });
        Json(KeyContainer { keys: keys.collect(), key_container_extension: None })
    };
    let router = Router::new()
        .route("/api/v1/keys/{sae}/{method}", post(move |_body: axum::body::Bytes| async move { container() }));
    photongate_net::secret_file::replace(&folder.join("ceiling.port"), port.to_string().as_bytes())?;
    server.run(router, std::future::pending()).await;
    Ok(())
}
