//! What guards a key server's secrets is exchanged while they stay.

#[path = "qks/site.rs"]
mod site;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use site::{Site, ids, keys, post};

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_is_exchanged_and_the_former_one_can_be_let_go() {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 20);
    site.wait_for_keys("a", "sae-a", "sae-b", 100).await;
    let (master, former) = (site.path("a").join("master.key"), site.path("a").join("former.key"));

    site.stop("a");
    fs::rename(&master, &former).unwrap();
    fs::write(&master, "7e".repeat(32)).unwrap();
    fs::set_permissions(&master, PermissionsExt::from_mode(0o600)).unwrap();
    site.start("a").await;
    assert!(site.log("a").contains("let the previous ones go"), "{}", site.log("a"));

    site.stop("a");
    fs::remove_file(&former).unwrap();
    site.start("a").await;
    // Made of material that came while the former one was in force.
    site.wait_for_keys("a", "sae-a", "sae-b", 100).await;
    let given = post(&site.client("sae-a"), site.url("a", "sae-b", "enc_keys"), &json!({ "number": 3 })).await;
    assert_eq!(given.status, 200, "{}\n{}", given.text, site.log("a"));
    let given = keys(&given);
    let taken = post(&site.client("sae-b"), site.url("b", "sae-a", "dec_keys"), &ids(&given)).await;
    assert_eq!(keys(&taken), given);
}
