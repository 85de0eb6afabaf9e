//! One process holds a lease at a time, whatever happens to the others.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const EXPIRY: Duration = Duration::from_millis(60);

fn claims(host: &str, locks: bool) -> Claims {
    Claims::new(Terms { host: host.into(), expiry: EXPIRY, locks })
}

fn taken(claim: io::Result<Claim>) -> Option<Lease> {
    match claim.unwrap() {
        Claim::Taken(lease) => Some(lease),
        Claim::Held(_) => None,
    }
}

#[test]
fn a_lease_is_held_until_it_is_given_back() {
    for locks in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut a = claims("a", locks);
        let mut b = claims("b", locks);
        let lease = taken(a.claim(folder.path())).unwrap();
        assert!(taken(a.claim(folder.path())).is_none(), "its own process holds it");
        assert!(taken(b.claim(folder.path())).is_none());
        assert_eq!(holder(folder.path()).unwrap().host, "a");
        lease.release().unwrap();
        assert_eq!(holder(folder.path()), None);
        assert!(taken(b.claim(folder.path())).is_some());
    }
}

#[test]
fn another_hosts_lease_expires_when_it_is_not_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (claims("a", false), claims("b", false));
    let mut lease = taken(a.claim(folder.path())).unwrap();
    assert!(taken(b.claim(folder.path())).is_none());
    for _ in 0..3 {
        std::thread::sleep(EXPIRY / 2);
        assert!(lease.renew().unwrap());
        assert!(taken(b.claim(folder.path())).is_none(), "renewed");
    }
    std::thread::sleep(EXPIRY + Duration::from_millis(10));
    let mut other = taken(b.claim(folder.path())).expect("expired");
    assert!(!lease.renew().unwrap(), "the first has lost it");
    assert!(other.renew().unwrap());
    lease.release().unwrap();
    assert!(other.renew().unwrap(), "giving back what is lost changes nothing");
}

#[cfg(target_os = "linux")]
#[test]
fn the_lease_of_a_dead_process_of_this_host_is_free_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut dead = Holder::here("a");
    dead.process = (u32::MAX, Some(1));
    fs::write(file(folder.path(), 7), serde_json::to_vec(&dead).unwrap()).unwrap();
    assert!(taken(claims("b", false).claim(folder.path())).is_none(), "of another host: not yet");
    // Its child lives on.
    let own = std::process::id();
    dead.child = Some((own, machine::started(own)));
    fs::write(file(folder.path(), 7), serde_json::to_vec(&dead).unwrap()).unwrap();
    assert!(taken(claims("a", false).claim(folder.path())).is_none());
    dead.child = None;
    fs::write(file(folder.path(), 7), serde_json::to_vec(&dead).unwrap()).unwrap();
    let lease = taken(claims("a", false).claim(folder.path())).unwrap();
    assert_eq!((lease.number, numbers(folder.path()).unwrap()), (8, vec![8]));
}

/// Sixteen hosts, without locks: each cell is held by one at a time, also when leases expire.
#[test]
fn a_lease_is_never_held_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for host in 0..16 {
            let (folder, inside, turns) = (folder.path(), &inside, &turns);
            scope.spawn(move || {
                let mut claims = Claims::new(Terms {
                    host: format!("host{host}"),
                    expiry: Duration::from_millis(500),
                    locks: false,
                });
                while turns.load(Ordering::SeqCst) < 40 {
                    let Some(lease) = taken(claims.claim(folder)) else { continue };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "held twice");
                    let turn = turns.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    // Two of them die without a word.
                    if turn % 16 != 15 {
                        lease.release().unwrap();
                    }
                }
            });
        }
    });
}
