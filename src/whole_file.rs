//! Files that appear whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is written under another name beside its own, and takes its own when all is written. Dropped before
/// that, it leaves nothing behind, and a file that was there before stays.
///
/// What is no ordinary file, such as a named pipe or `/dev/null`, is written to as it is.
pub(crate) struct WholeFile(Target);

enum Target {
    New { file: BufWriter<NamedTempFile>, path: PathBuf },
    AsItIs(BufWriter<File>),
}

impl WholeFile {
    /// Starts to write the file at `path`.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self(Target::AsItIs(BufWriter::new(File::create(path)?))));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(io::Error::new(ErrorKind::NotFound, format!("there is no folder {}", folder.display())));
        }
        // As any other program would create it: the process's umask takes away what others must not do.
        let mut builder = tempfile::Builder::new();
        let file = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
        Ok(Self(Target::New { file: BufWriter::new(file), path: path.to_owned() }))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The rest cannot be written, or the name cannot be taken.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.0 {
            Target::New { file, path } => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.persist(path).map(drop).map_err(|error| error.error)
            }
            Target::AsItIs(mut file) => file.flush(),
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Target::New { file, .. } => file.write(bytes),
            Target::AsItIs(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Target::New { file, .. } => file.flush(),
            Target::AsItIs(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_is_not_finished_leaves_what_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.pcap");
        fs::write(&path, "before").unwrap();
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"half of it").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_finished_file_has_all_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.pcap");
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"all of it").unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all of it");
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let mut file = WholeFile::create(Path::new("/dev/null")).unwrap();
        file.write_all(b"gone").unwrap();
        file.finish().unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }
}
