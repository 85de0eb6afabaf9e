//! Which passes store their activations, and how.
//!
//! A scope is of the thread that runs a pass: Burn's modules have no argument that would carry it to the operations.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use burn_autodiff::NodeId;

use super::blocks::mixed;
use super::{ByPlane, Form, Kept, Storage};

/// How an episode's passes with a tape store their activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How values are stored.
    pub storage: Storage,
    /// Seed of the rounding.
    pub seed: u64,
    /// Number of the episode: each has a rounding of its own.
    pub episode: u64,
}

/// The passes of one episode through the backbone.
#[derive(Debug)]
pub struct Scope {
    keep: Option<Keep>,
    /// Tensors that were stored so far.
    tensors: Cell<u64>,
    /// What is stored of which node, so that operations that read the same tensor share it.
    known: RefCell<HashMap<NodeId, Weak<dyn ByPlane>>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scope>>> = const { RefCell::new(None) };
}

/// The scope that this thread is in, if its activations are stored in other types.
pub fn current() -> Option<Rc<Scope>> {
    CURRENT.with_borrow(Clone::clone)
}

impl Scope {
    /// A scope for the passes of one episode; without `keep`, activations are kept as they are computed.
    pub fn new(keep: Option<Keep>) -> Rc<Self> {
        Rc::new(Self { keep, tensors: Cell::new(0), known: RefCell::default() })
    }

    /// Runs a pass in this scope.
    pub fn within<R>(self: &Rc<Self>, pass: impl FnOnce() -> R) -> R {
        /// Restores the scope outside, also when the pass panics.
        struct Leave(Option<Rc<Scope>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _leave = Leave(CURRENT.replace(self.keep.map(|_| self.clone())));
        pass()
    }

    /// How the next tensor is stored.
    pub fn form(&self) -> Form {
        let Keep { storage, seed, episode } =
            self.keep.expect("a scope that is entered stores its activations");
        let number = self.tensors.replace(self.tensors.get() + 1);
        let mut state = seed;
        for part in [episode, number] {
            state = mixed(&mut state) ^ part;
        }
        Form { storage, random: mixed(&mut state) }
    }

    /// What is stored of a node's output; `store` stores it, unless another operation has.
    pub fn of(&self, node: NodeId, store: impl FnOnce(Form) -> Kept) -> Kept {
        let known = self.known.borrow().get(&node).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let kept = store(self.form());
            self.insert(node, &kept);
            kept
        })
    }

    /// Says what is stored of a node's output.
    pub fn insert(&self, node: NodeId, kept: &Kept) {
        self.known.borrow_mut().insert(node, Arc::downgrade(kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep { storage: Storage::Int8, seed: 4040, episode: 3 };

    #[test]
    fn a_scope_ends_with_its_pass_even_when_that_panics() {
        assert!(current().is_none());
        let scope = Scope::new(Some(KEEP));
        scope.within(|| {
            assert!(current().is_some());
            Scope::new(None).within(|| assert!(current().is_none()));
            assert!(current().is_some());
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            scope.within(|| panic!("out of memory"));
        }));
        assert!(outcome.is_err() && current().is_none());
    }

    #[test]
    fn tensors_episodes_and_seeds_round_differently_and_always_the_same() {
        let forms = |keep: Keep| {
            let scope = Scope::new(Some(keep));
            [scope.form().random, scope.form().random]
        };
        let [first, second] = forms(KEEP);
        assert_ne!(first, second);
        assert_eq!(forms(KEEP), [first, second]);
        assert_ne!(forms(Keep { episode: 4, ..KEEP })[0], first);
        assert_ne!(forms(Keep { seed: 1, ..KEEP })[0], first);
    }
}
