//! What a file is that is not what its name says, where its first bytes tell.

/// Bytes that are looked at.
const HEAD: usize = 200;

/// A web page that was saved for a download that failed, or a pointer of Git LFS.
pub fn what_it_is(file: &[u8]) -> Option<&'static str> {
    let head = String::from_utf8_lossy(&file[..file.len().min(HEAD)]).trim_start().to_lowercase();
    let is_page = ["<!doctype", "<html", "<?xml"].iter().any(|start| head.starts_with(start));
    if is_page {
        return Some("it is a web page: its download failed, so download it again");
    }
    head.starts_with("version https://git-lfs")
        .then_some("it is a pointer of Git LFS: run `git lfs pull`")
}
