//! All files that tasks wait for, by the keys under which the kernel tells of them.

use std::sync::Arc;
use std::task::Waker;

use rustix::event::epoll::EventFlags;
use slab::Slab;

use super::source::Source;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Sources {
    all: Slab<Arc<Source>>,
    /// The keys of those that are gone since the last events.
    gone: Vec<usize>,
}

impl Sources {
    /// Adds one, and returns its key.
    pub(super) fn insert(&mut self, source: Arc<Source>) -> usize {
        self.all.insert(source)
    }

    /// Takes back one that could not be registered.
    pub(super) fn remove(&mut self, key: usize) {
        self.all.remove(key);
    }

    /// The kernel tells of one no longer. Another thread may have fetched events of it already. They must not
    /// be taken for another's, whose connection would seem to have ended. So the key is used again only
    /// after those.
    pub(super) fn leave(&mut self, key: usize) {
        self.gone.push(key);
    }

    /// Hands on all events of a turn, and collects the wakers of those who wait for them.
    pub(super) fn tell(
        &mut self,
        events: impl Iterator<Item = (EventFlags, u64)>,
        wakers: &mut Vec<Waker>,
    ) {
        for (flags, key) in events {
            if let Some(source) = self.all.get(key as usize) {
                source.tell(flags, wakers);
            }
        }
        for key in self.gone.drain(..) {
            self.all.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_source_is_not_told_of_the_end_of_one_that_is_gone() {
        let mut sources = Sources::default();
        let old = sources.insert(Arc::default());
        // Its events have been fetched, and then it goes, and another one comes.
        let fetched = (EventFlags::IN | EventFlags::RDHUP, old as u64);
        sources.leave(old);
        let new = Arc::<Source>::default();
        let key = sources.insert(new.clone());
        sources.tell([fetched].into_iter(), &mut Vec::new());
        assert!(!new.is_told());
        // Later it may have the same key.
        assert_eq!(sources.insert(Arc::default()), old);
        sources.tell([(EventFlags::IN, key as u64)].into_iter(), &mut Vec::new());
        assert!(new.is_told());
    }
}
