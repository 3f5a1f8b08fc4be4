//! Commands under DPDK's telemetry socket, asked over that socket.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use photongate_dpdk::telemetry::{Answer, Value, register};
use photongate_dpdk::{Eal, EalConfig, Port};

#[test]
fn commands_answer_over_the_socket_without_hugepages_and_shared_configuration() {
    let file_prefix = format!("photongate-test-{}", std::process::id());
    let eal = Eal::init(EalConfig { telemetry: true, file_prefix, ..EalConfig::default() }).unwrap();
    let counters = |_: &str| {
        Answer::Dict(vec![
            ("accepted".to_owned(), Value::Number(u64::MAX)),
            ("port".to_owned(), Value::Text("outside".to_owned())),
            ("dropped".to_owned(), Value::Dict(vec![("bad_mac".to_owned(), 7)])),
        ])
    };
    register(eal, "/photongate/counters", "Returns counters.", counters).unwrap();
    let echo = |parameters: &str| Answer::Texts(parameters.split(',').map(str::to_owned).collect());
    register(eal, "/photongate/echo", "Returns its parameters.", echo).unwrap();
    register(eal, "/photongate/numbers", "Returns numbers.", |_| Answer::Numbers(vec![1, 2])).unwrap();
    register(eal, "/photongate/panic", "Panics.", |_| panic!("on purpose")).unwrap();

    let client = Client::connect(eal);
    assert_eq!(
        client.ask("/photongate/counters"),
        r#"{"/photongate/counters":{"accepted":18446744073709551615,"port":"outside","dropped":{"bad_mac":7}}}"#
    );
    assert_eq!(client.ask("/photongate/echo,a,b"), r#"{"/photongate/echo":["a","b"]}"#);
    assert_eq!(client.ask("/photongate/numbers"), r#"{"/photongate/numbers":[1,2]}"#);
    assert_eq!(client.ask("/photongate/panic"), r#"{"/photongate/panic":null}"#);
    assert!(client.ask("/").contains("/photongate/counters"));

    let error = register(eal, "/photongate/numbers", "Again.", |_| Answer::Numbers(vec![])).unwrap_err();
    assert_eq!(error.name, "/photongate/numbers");
    assert_eq!(client.ask("/photongate/numbers"), r#"{"/photongate/numbers":[1,2]}"#, "the first one stays");
    assert!(register(eal, "no-slash", "", |_| Answer::Numbers(vec![])).is_err());

    // DPDK's own commands see what this crate makes.
    let _port = Port::attach(eal, "net_ring0").unwrap();
    assert_eq!(client.ask("/ethdev/list"), r#"{"/ethdev/list":[0]}"#);
    std::fs::remove_dir_all(eal.runtime_directory()).unwrap();
}

struct Client(OwnedFd);

impl Client {
    fn connect(eal: Eal) -> Self {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::empty(), None).unwrap();
        let path = eal.runtime_directory().join("dpdk_telemetry.v2");
        connect(socket.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        let client = Self(socket);
        // DPDK introduces itself first.
        assert!(client.receive().contains("DPDK"));
        client
    }

    fn ask(&self, command: &str) -> String {
        send(self.0.as_raw_fd(), command.as_bytes(), MsgFlags::empty()).unwrap();
        self.receive()
    }

    fn receive(&self) -> String {
        let mut buffer = vec![0; 16384];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}
