//! What the HTTP stack could do at most: the same server, whose handler always answers with the same keys.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::post;
use photongate_net::http::{Bounds, MachineOptions, MachineServer};
use photongate_net::tls::{ClientCertificates, ServerTls, TlsFiles};
use photongate_qks::key_id::AssignmentId;
use photongate_qks::sae::{ContainerText, refusal};

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
    let (id, key) = (AssignmentId::from_bytes([7; 14]), vec![0x5a; size as usize / 8]);
    let container = move || ContainerText::of((0..number).map(|index| (id.key(index), key.as_slice())));
    let router = Router::new()
        .route("/api/v1/keys/{sae}/{method}", post(move |_body: axum::body::Bytes| async move { container() }));
    photongate_net::secret_file::replace(&folder.join("ceiling.port"), port.to_string().as_bytes())?;
    server.run(router, std::future::pending()).await;
    Ok(())
}
