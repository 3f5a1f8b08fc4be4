//! `[as_list]` and `[[peers]]`: who the peers are, here or in a file of their own.

use std::path::{Path, PathBuf};

use photongate_agent::as_list::{AsList, Context, Read, read_peers};
use photongate_net::config::{Problems, Reported, Section, Value};

/// Where the list of peers is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListSource {
    /// `[[peers]]`, in the configuration itself.
    Inline,
    /// `[as_list]`: a file of its own.
    File {
        /// The file.
        path: PathBuf,
        /// Whether changes of it are applied as they happen.
        watch: bool,
    },
}

/// The list of peers, as far as it could be read.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) source: ListSource,
    /// The peers, and what is odd about a file of their own.
    pub(super) list: Result<Read, Problems>,
}

/// Reads `[[peers]]`, or `[as_list]` and the file that it names. `public_file` is the configuration if every user of the machine can
/// read it.
pub(super) fn read(
    root: &mut Section<'_>,
    context: &Context<'_>,
    public_file: Option<&Path>,
) -> Result<Listed, Reported> {
    let has_peers = root.has("peers");
    let file = root.optional_section("as_list", |section| {
        let path = section.required_with("file", "\"as-list.toml\"", Value::path);
        let watch = section.or("watch", true);
        if has_peers {
            let message =
                "given beside [[peers]]: the peers are here or in a file of their own, so remove one of the two";
            return Err(section.refuse_at(section.place(), message));
        }
        Ok((path?, watch?))
    });
    // The peers are read even beside a mistaken [as_list], for the sake of the mistakes in them; but where they are in another
    // file, nobody need be told that there are none here.
    if let (Ok(Some((path, watch))), false) = (&file, has_peers) {
        let list = AsList::load(path, context);
        return Ok(Listed { source: ListSource::File { path: path.clone(), watch: *watch }, list });
    }
    let inline = if has_peers || matches!(file, Ok(None)) {
        read_peers(root, context, public_file)
    } else {
        Ok(AsList::default())
    };
    file?;
    Ok(Listed { source: ListSource::Inline, list: Ok(Read { list: inline?, warnings: Vec::new() }) })
}
