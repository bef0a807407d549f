//! Envoy's contexts by their numbers: root contexts, and the requests of each that are under way.

use super::abi;
use super::request::Request;
use super::root::{Ended, Root};
use std::cell::RefCell;

/// The most requests that are shown at once while they go on, since each is 150,000 instructions; the next
/// look is for the others.
const MOST_SHOWN: usize = 64;

/// Of requests only those of which something is still to be said: their headers have not come, they
/// are recorded, how they end is of account, or their responses are to tell of their traces.
struct Contexts {
    roots: ById<Root>,
    requests: ById<Request>,
}

/// A map in the order of the numbers. Envoy's rise, so that the newest is the last; a tree would be
/// 6,000 bytes of code for each type.
struct ById<T>(Vec<(u32, T)>);

impl<T> ById<T> {
    fn place(&self, id: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }

    fn insert(&mut self, id: u32, value: T) {
        if let Err(place) = self.place(id) {
            self.0.insert(place, (id, value));
        }
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let place = self.place(id).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    fn remove(&mut self, id: u32) -> Option<T> {
        self.place(id).ok().map(|place| self.0.remove(place).1)
    }
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> =
        const { RefCell::new(Contexts { roots: ById(Vec::new()), requests: ById(Vec::new()) }) };
}

/// Envoy never calls back in the middle of a hostcall but to allocate; if it did, the callback
/// would count for nothing.
fn with<T: Default>(act: impl FnOnce(&mut Contexts) -> T) -> T {
    CONTEXTS
        .with(|contexts| contexts.try_borrow_mut().map(|mut it| act(&mut it)).unwrap_or_default())
}

fn with_root<T: Default>(id: u32, act: impl FnOnce(&mut Root) -> T) -> T {
    with(|contexts| contexts.roots.get_mut(id).map(act).unwrap_or_default())
}

/// A context begins: a root context, or a request of one.
pub(super) fn create(id: u32, root: u32) {
    with(|Contexts { roots, requests }| {
        if root == 0 {
            roots.insert(id, Root::default());
        } else if let Some(shared) = roots.get_mut(root).and_then(|root| root.shared()) {
            requests.insert(id, Request::new(id, shared));
        }
    });
}

pub(super) fn configure(id: u32, size: usize) -> bool {
    with_root(id, |root| root.configure(size))
}

pub(super) fn tick(id: u32) {
    with(|contexts| {
        contexts.show_open(id);
        contexts.end_if(id, Root::tick);
    });
}

pub(super) fn answered(id: u32, token: u32, has_headers: bool, body: usize, has_trailers: bool) {
    with(|contexts| {
        contexts.end_if(id, |root| root.answered(token, has_headers, body, has_trailers))
    });
}

/// A request's headers have come.
pub(super) fn start(id: u32, has_body: bool) {
    with(|Contexts { requests, .. }| {
        if let Some(request) = requests.get_mut(id)
            && !request.start(has_body)
        {
            requests.remove(id);
        }
    });
}

/// A request's trailers have come.
pub(super) fn read_trailers(id: u32) {
    with(|Contexts { requests, .. }| requests.get_mut(id).map(Request::read_trailers));
}

/// The headers of a request's response have come.
pub(super) fn answer(id: u32) {
    with(|Contexts { requests, .. }| {
        if let Some(request) = requests.get_mut(id)
            && !request.answer()
        {
            requests.remove(id);
        }
    });
}

/// A request has ended, and Envoy knows all of it.
pub(super) fn finish(id: u32) {
    with(|Contexts { requests, .. }| {
        if let Some(request) = requests.remove(id) {
            request.finish();
        }
    });
}

/// A context ends; whether it is done, which a root context may not be before its spans are sent.
pub(super) fn done(id: u32) -> bool {
    with(|Contexts { roots, requests }| {
        if let Some(request) = requests.remove(id) {
            request.abandon();
        }
        let is_done = roots.get_mut(id).is_none_or(Root::drain);
        if is_done {
            roots.remove(id);
        }
        is_done
    })
}

impl Contexts {
    /// Shows the requests of a root context that have gone on for long.
    #[inline(never)]
    fn show_open(&mut self, root: u32) {
        let Some(shared) = self.roots.get_mut(root).and_then(|root| root.shared()) else { return };
        let Some((now, visible_after)) = shared.look() else { return };
        let mut left = MOST_SHOWN;
        for (id, request) in &mut self.requests.0 {
            if request.has_lasted(visible_after, now, &shared)
                && left > 0
                && abi::set_effective_context(*id)
            {
                request.show(None);
                left -= 1;
            }
        }
        abi::set_effective_context(root);
    }

    fn end_if(&mut self, id: u32, act: impl FnOnce(&mut Root) -> Ended) {
        if self.roots.get_mut(id).map(act) == Some(Ended::Yes) {
            self.roots.remove(id);
            abi::done();
        }
    }
}
