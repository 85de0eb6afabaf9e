//! A file that another process writes, line by line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// So many of the bytes that were read last are compared, to notice that the file was cut and written anew.
const COMPARED: usize = 1024;

/// Reads what is added to a file of lines.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    /// End of the last whole line that was read.
    position: u64,
    /// The bytes before it, as they were read.
    before: Vec<u8>,
}

/// What came to a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// Whether what was read earlier is void: a resumed run cuts off what its checkpoint does not know.
    pub is_anew: bool,
    /// Whole lines, each with its end.
    pub lines: Vec<u8>,
}

impl Follow {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), position: 0, before: Vec::new() }
    }

    /// Whole lines that were added since the last call. A line that is still being written comes with a later
    /// call; a file that is not there has none.
    pub fn read(&mut self) -> io::Result<Added> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_anew = self.position > 0;
                self.restart();
                return Ok(Added { is_anew, lines: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        let is_anew = !self.continues(&mut file)?;
        if is_anew {
            self.restart();
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut lines = Vec::new();
        file.read_to_end(&mut lines)?;
        let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        lines.truncate(end);
        self.position += end as u64;
        self.before.extend_from_slice(&lines[end.saturating_sub(COMPARED)..]);
        let surplus = self.before.len().saturating_sub(COMPARED);
        self.before.drain(..surplus);
        Ok(Added { is_anew, lines })
    }

    fn restart(&mut self) {
        self.position = 0;
        self.before.clear();
    }

    /// Whether the file still has what was read last, where it was.
    fn continues(&self, file: &mut File) -> io::Result<bool> {
        if file.metadata()?.len() < self.position {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(self.position - self.before.len() as u64))?;
        let mut now = vec![0; self.before.len()];
        match file.read_exact(&mut now) {
            Ok(()) => Ok(now == self.before),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn added(lines: &str) -> Added {
        Added { is_anew: false, lines: lines.into() }
    }

    #[test]
    fn a_line_comes_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut follow = Follow::new(&path);
        assert_eq!(follow.read().unwrap(), Added::default(), "no file yet");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        for (written, read) in [
            ("one\ntw", "one\n"),
            ("", ""),
            ("o", ""),
            ("\n", "two\n"),
            ("three\nfour\n", "three\nfour\n"),
        ] {
            file.write_all(written.as_bytes()).unwrap();
            assert_eq!(follow.read().unwrap(), added(read), "after {written:?}");
        }
    }

    #[test]
    fn a_file_that_was_cut_is_read_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let mut follow = Follow::new(&path);
        follow.read().unwrap();
        let anew = |lines: &str| Added { is_anew: true, ..added(lines) };
        fs::write(&path, "one\n").unwrap();
        assert_eq!(follow.read().unwrap(), anew("one\n"), "shorter");
        // A resumed run may have written more than was cut before the next look.
        fs::write(&path, "ten\neleven\ntwelve\n").unwrap();
        assert_eq!(follow.read().unwrap(), anew("ten\neleven\ntwelve\n"), "longer");
        fs::remove_file(&path).unwrap();
        assert_eq!(follow.read().unwrap(), anew(""), "gone");
        assert_eq!(follow.read().unwrap(), added(""), "still gone");
    }
}
