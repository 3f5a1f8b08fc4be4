//! `[api]` and `[state]`.

use super::*;

#[test]
fn the_interface_is_for_this_machine_unless_it_is_told_otherwise() {
    let config = FilterConfig::parse(FILE.as_ref(), MINIMAL).unwrap();
    let api = config.api.unwrap();
    assert_eq!(api.listen, ["127.0.0.1:8479".parse().unwrap()]);
    assert_eq!((api.socket(), api.socket.as_deref()), ("/run/photongate/api.sock".as_ref(), None));
    assert_eq!((api.requests_per_second, api.tls), (50, None));
    assert_eq!((config.state.directory(), config.state.directory.as_deref()), ("/var/lib/photongate".as_ref(), None));
    let off = format!("{MINIMAL}[api]\nenabled = false\n");
    assert!(FilterConfig::parse(FILE.as_ref(), &off).unwrap().api.is_none());
}

#[test]
fn to_be_reached_from_elsewhere_takes_tls() {
    for address in ["0.0.0.0:8479", "192.0.2.1:8479", "[::]:8479", "[2001:db8::1]:8479"] {
        refused(
            &format!("[api]\nlisten = [\"127.0.0.1:1\", \"{address}\"]"),
            &format!(
                "api.listen[1]: \"{address}\" can be reached from elsewhere, where tokens would travel in clear: \
                 add [api.tls] with certificate and key, or listen on 127.0.0.1 or [::1]"
            ),
        );
        assert_eq!(refusals_of(&format!("[api]\nlisten = [\"{address}\"]\n{TLS}")), Vec::<String>::new());
    }
    assert_eq!(refusals_of("[api]\nlisten = [\"127.0.0.2:8479\", \"[::1]:8479\"]"), Vec::<String>::new());
}

#[test]
fn bad_addresses_and_rates_are_refused() {
    refused("[api]\nlisten = [\"[::1]:1\", \"[::1]:1\"]", r#"api.listen[1]: "[::1]:1" is listed twice: keep one"#);
    refused(
        "[api]\nrequests_per_second = 0",
        "api.requests_per_second: 0 is too small: 1 to 1000000 requests per second",
    );
}

#[test]
fn tls_takes_a_certificate_and_its_key() {
    assert_eq!(
        refusals("[api.tls]"),
        [
            r#"api.tls.certificate: missing: add certificate = "api.pem""#,
            r#"api.tls.key: missing: add key = "api.key""#
        ]
    );
}

#[test]
fn certificates_of_callers_take_an_authority_and_names() {
    refused(
        &format!("{TLS}admins = [\"CN=ops\"]"),
        "api.tls.admins: nothing vouches for their certificates: add client_ca, or remove them and use tokens",
    );
    refused(
        &format!("{TLS}client_ca = \"ca.pem\""),
        "api.tls.client_ca: nobody is named whom it could vouch for: add admins or readers, like \"CN=ops\", or remove \
         client_ca and use tokens",
    );
    refused(
        &format!("{TLS}client_ca = \"ca.pem\"\nadmins = [\"CN=ops\"]\nreaders = [\"CN=ops\"]"),
        "api.tls.readers: \"CN=ops\" is among admins too, who may look anyway: keep one",
    );
    for subject in ["ops", "CN=", "SAN: ", "cn=ops"] {
        refused(
            &format!("{TLS}client_ca = \"ca.pem\"\nreaders = [\"{subject}\"]"),
            &format!(
                "api.tls.readers[0]: {subject:?} names no subject: write CN= and the common name, or SAN: and an alternative name"
            ),
        );
    }
    let good = format!("{TLS}client_ca = \"ca.pem\"\nadmins = [\"CN=ops\"]\nreaders = [\"SAN:monitor.example\"]");
    assert_eq!(refusals_of(&good), Vec::<String>::new());
}

#[test]
fn a_key_in_place_of_the_name_of_the_key_file_is_not_shown() {
    refused(
        &format!("[state]\nkey_file = \"{SECRET}\""),
        "state.key_file: this is a key, not the name of a file that holds one",
    );
}

/// The problems of `text` behind the least configuration, if there are any.
fn refusals_of(text: &str) -> Vec<String> {
    let parsed = FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}{text}"));
    parsed.err().into_iter().flatten().map(|problem| problem.to_string()).collect()
}

const TLS: &str = "[api.tls]\ncertificate = \"api.pem\"\nkey = \"api.key\"\n";
