//! `photongate qks client`: an application's side of ETSI GS QKD 014, for trying out a key server and for scripts.

mod keys;

use std::io::{self, Read as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use photongate_net::tls::{ClientTls, ClientTlsFiles};
use photongate_qks::client::{ClientError, Question, SaeClient, read};
use photongate_qks::ids::SaeId;
use photongate_qks::sae::{KeyRequest, Status};
use serde_json::{Map, Value};
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::keys::Destination;
use crate::failure::Failure;
use crate::output;

/// Ask a key server for keys, as an application does (ETSI GS QKD 014)
///
/// Works with any key server that keeps to the standard. The certificate says which application asks. Keys are printed or written only
/// where an option says so: `--out` is for files, `--show-keys` and `--json` for standard output.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate qks client status sae-b --url https://qks-a:8443/ --ca ca.pem --certificate sae-a.pem --key sae-a-key.pem
    photongate qks client enc sae-b --number 4 --out keys --url … --ca … --certificate … --key …
    photongate qks client dec sae-a 7a0e5c3c-7d0f-8b57-9a54-3b5d7c8e0000 --show-keys --url … --ca … --certificate … --key …

What follows `--url`, `--ca`, `--certificate` and `--key` can stand in the environment instead, as PHOTONGATE_QKS_URL, PHOTONGATE_QKS_CA,
PHOTONGATE_QKS_CERTIFICATE and PHOTONGATE_QKS_KEY.

Exit status: 0 success; 1 the key server refuses or does not answer; 2 what was given cannot be used.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Status(StatusArguments),
    Enc(EncArguments),
    Dec(DecArguments),
}

/// Say how many keys there are for another application, and what can be asked
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate qks client status sae-b
    photongate qks client status sae-b --json")]
struct StatusArguments {
    /// The other application
    slave: SaeId,

    #[command(flatten)]
    reach: Reach,

    /// Print the answer as it came
    #[arg(long)]
    json: bool,
}

/// Get new keys to share with another application
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate qks client enc sae-b --show-keys
    photongate qks client enc sae-b --number 10 --size 512 --out keys
    photongate qks client enc sae-b --additional sae-c --mandatory photongate_max_hops=2 \\
        --optional 'photongate_source=\"qkd\"' --json")]
struct EncArguments {
    /// The other application
    slave: SaeId,

    #[command(flatten)]
    reach: Reach,

    /// How many keys; without it, one
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,

    /// How large each key is, in bits; without it, as the key server likes
    #[arg(long, value_name = "BITS")]
    size: Option<u64>,

    /// One more application that gets the same keys. May be given several times
    #[arg(long, value_name = "APPLICATION")]
    additional: Vec<SaeId>,

    /// An extension that the key server must keep to. May be given several times
    #[arg(long, value_name = "NAME=JSON", value_parser = extension)]
    mandatory: Vec<(String, Value)>,

    /// An extension that the key server may ignore. May be given several times
    #[arg(long, value_name = "NAME=JSON", value_parser = extension)]
    optional: Vec<(String, Value)>,

    #[command(flatten)]
    destination: Destination,
}

/// Get the keys that another application asked for, by their IDs
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate qks client dec sae-a 7a0e5c3c-7d0f-8b57-9a54-3b5d7c8e0000 --show-keys
    photongate qks client dec sae-a --out keys < ids.txt")]
struct DecArguments {
    /// The application that asked for the keys
    master: SaeId,

    /// Their IDs; without any, they are read from standard input, apart by blanks or lines
    ids: Vec<Uuid>,

    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    destination: Destination,
}

/// Where the key server is, and what it is shown.
#[derive(Args)]
#[command(next_help_heading = "The key server")]
struct Reach {
    /// Where it is, like `https://qks-a.example:8443/`
    #[arg(long, value_name = "URL", env = "PHOTONGATE_QKS_URL", value_parser = https)]
    url: Url,

    /// The authorities that may vouch for it, PEM
    #[arg(long, value_name = "FILE", env = "PHOTONGATE_QKS_CA")]
    ca: PathBuf,

    /// The application's certificate, with those that issued it behind it, PEM
    #[arg(long, value_name = "FILE", env = "PHOTONGATE_QKS_CERTIFICATE")]
    certificate: PathBuf,

    /// The private key of the certificate, PEM, mode 0600
    #[arg(long, value_name = "FILE", env = "PHOTONGATE_QKS_KEY")]
    key: PathBuf,
}

/// Asks, and prints the answer or puts it where it belongs.
///
/// # Errors
/// What was given cannot be used, or the key server gives nothing.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Status(arguments) => status(arguments),
        Command::Enc(arguments) => enc(arguments),
        Command::Dec(arguments) => dec(arguments),
    }
}

fn status(StatusArguments { slave, reach, json }: &StatusArguments) -> Result<(), Failure> {
    let answer = reach.ask(Question::Status { slave })?;
    if *json {
        return output::print(&keys::as_it_came(&answer)?);
    }
    let status: Status = read(&answer).map_err(|error| refused(&error))?;
    output::print(&format!(
        "{} at {} and {} at {}\n{} keys of {} bits can be had now\n{} keys at most in a request, of {} to {} bits\n",
        status.master_SAE_ID,
        status.source_KME_ID,
        status.slave_SAE_ID,
        status.target_KME_ID,
        status.stored_key_count,
        status.key_size,
        status.max_key_per_request,
        status.min_key_size,
        status.max_key_size,
    ))
}

fn enc(arguments: &EncArguments) -> Result<(), Failure> {
    let EncArguments { slave, reach, number, size, additional, mandatory, optional, destination } = arguments;
    // Keys that cannot be put down would be gone: the folder comes first.
    destination.prepare()?;
    let request = KeyRequest {
        number: *number,
        size: *size,
        additional_slave_sae_ids: (!additional.is_empty()).then(|| additional.clone()),
        extension_mandatory: objects(mandatory),
        extension_optional: objects(optional),
    };
    destination.put(&reach.ask(Question::EncKeys { slave, request: &request })?)
}

fn dec(DecArguments { master, ids, reach, destination }: &DecArguments) -> Result<(), Failure> {
    let ids = if ids.is_empty() { &ids_from_standard_input()? } else { ids };
    destination.prepare()?;
    destination.put(&reach.ask(Question::DecKeys { master, ids })?)
}

impl Reach {
    fn ask(&self, question: Question<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let tls = ClientTls::load(ClientTlsFiles {
            ca: self.ca.clone(),
            identity: Some((self.certificate.clone(), self.key.clone())),
            expected: None,
        });
        let tls = tls.map_err(bad_input)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(bad_input)?;
        runtime.block_on(async {
            let client = SaeClient::new(self.url.clone(), &tls).map_err(bad_input)?;
            client.ask(question).await.map_err(|error| refused(&error))
        })
    }
}

/// What the key server says, with the details that it gives for programs.
fn refused(error: &ClientError) -> Failure {
    let mut message = format!("photongate: {error}");
    if let ClientError::Refused { status, body } = error {
        for (name, value) in body.iter().flat_map(|body| &body.details).flatten() {
            message.push_str(&format!("\n  {name}: {value}"));
        }
        if *status == 401 {
            message.push_str(": it does not know this certificate, or the keys are not for its application");
        }
    }
    Failure::at_run_time(message)
}

fn ids_from_standard_input() -> Result<Vec<Uuid>, Failure> {
    let mut text = String::new();
    let read = io::stdin().take(LONGEST_INPUT).read_to_string(&mut text);
    read.map_err(|error| bad_input(format!("the key IDs on standard input: {error}")))?;
    let id = |word: &str| word.parse().map_err(|_| bad_input(format!("{word:?} on standard input is no key ID")));
    let ids = text.split_whitespace().map(id).collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() {
        Err(bad_input("there are no key IDs: neither as arguments nor on standard input"))
    } else {
        Ok(ids)
    }
}

fn objects(extensions: &[(String, Value)]) -> Option<Vec<Map<String, Value>>> {
    let object = |(name, value): &(String, Value)| Map::from_iter([(name.clone(), value.clone())]);
    (!extensions.is_empty()).then(|| extensions.iter().map(object).collect())
}

fn extension(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write the name, an equals sign, and the value as JSON")?;
    let value = serde_json::from_str(value)
        .map_err(|_| format!("the value is no JSON; a text stands in quotes: {name}='\"{value}\"'"))?;
    Ok((name.to_owned(), value))
}

fn https(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() == "https" && url.has_host() { Ok(url) } else { Err("it must begin with https://".to_owned()) }
}

fn bad_input(error: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("photongate: {error}"))
}

/// Of a list of key IDs, in bytes.
const LONGEST_INPUT: u64 = 1024 * 1024;
