//! Whether a call that is made while one request is in flight belongs to it.
//!
//! It does in a pod that makes no calls of its own. A pod is believed to make none to a host, if it was
//! watched for long enough while nothing was in flight and made none: a call of its own at the
//! highest rate that could have been overlooked would then be one of 200 at the most.

use super::crowd::Seen;

/// The most hosts that are remembered; calls to more are never known to belong to anybody.
const MOST_HOSTS: usize = 64;

/// After so many seconds half of all evidence is forgotten.
const HALF_LIFE: u32 = 300;

/// How many seconds a call that belonged to no request is held against its host.
const GRUDGE: u32 = 1200;

/// The least calls that one request alone made to a host.
const LEAST_CALLS: f32 = 10.0;

/// The highest share of calls that may belong to nobody.
const MOST_STRAY: f32 = 0.005;

#[derive(Debug)]
struct Host {
    digest: u64,
    /// Calls while one request was in flight.
    calls: f32,
    /// The second until which nothing is believed.
    grudge: u32,
}

#[derive(Debug)]
pub(super) struct Quiet {
    /// What was in flight at the latest event, and when that was in nanoseconds.
    seen: Seen,
    since: u64,
    /// Seconds with nothing in flight, and with one request.
    idle: f32,
    single: f32,
    hosts: Vec<Host>,
    /// Calls to hosts for which there was no room.
    pub(super) full: u32,
    is_watching: bool,
    /// The second in which evidence was last halved.
    halved: u32,
}

impl Quiet {
    pub(super) const UNKNOWN: Self = Self {
        seen: Seen::NOTHING,
        since: u64::MAX,
        idle: 0.0,
        single: 0.0,
        hosts: Vec::new(),
        full: 0,
        is_watching: false,
        halved: 0,
    };

    /// Whether there is any host of which something may come to be believed.
    pub(super) fn is_watching(&self) -> bool {
        self.is_watching
    }

    /// An event is at this nanosecond. Between the latest and this one so much was in flight, if every event
    /// was told; `after` is what this one makes of it.
    pub(super) fn watch(&mut self, now: u64, before: Seen, after: Seen) {
        if before == self.seen {
            let seconds = now.saturating_sub(self.since) as f32 / 1e9;
            match before.requests() {
                0 => self.idle += seconds,
                1 => self.single += seconds,
                _ => {}
            }
        }
        (self.seen, self.since) = (after, now);
    }

    /// So much was in flight at one moment of so many seconds, where it is not known at all moments.
    pub(super) fn sample(&mut self, seen: Seen, seconds: u32) {
        match seen.requests() {
            0 => self.idle += seconds as f32,
            1 => self.single += seconds as f32,
            _ => {}
        }
    }

    /// A call to a host at this second, while so many requests are in flight: whether it belongs to the
    /// one that is. `requests` is asked only where the answer may matter.
    pub(super) fn call(&mut self, host: u64, now: u32, requests: impl FnOnce() -> u16) -> bool {
        let found = self.hosts.iter().position(|known| known.digest == host);
        let Some(host) = (match found {
            None if self.hosts.len() < MOST_HOSTS => {
                self.hosts.push(Host { digest: host, calls: 0.0, grudge: 0 });
                self.hosts.last_mut()
            }
            place => place.and_then(|place| self.hosts.get_mut(place)),
        }) else {
            self.full += 1;
            return false;
        };
        if host.grudge > now {
            return false;
        }
        self.is_watching = true;
        match requests() {
            0 => host.grudge = now.saturating_add(GRUDGE),
            1 => host.calls += 1.0,
            _ => {}
        }
        host.grudge <= now
            && host.calls >= LEAST_CALLS
            && self.single <= self.idle * host.calls * MOST_STRAY
    }

    /// It is this second.
    pub(super) fn tick(&mut self, now: u32) {
        if now.saturating_sub(self.halved) < HALF_LIFE {
            return;
        }
        self.halved = now;
        self.idle /= 2.0;
        self.single /= 2.0;
        for host in &mut self.hosts {
            host.calls /= 2.0;
        }
        self.hosts.retain(|host| host.calls > 0.1 || host.grudge > now);
        self.is_watching = self.hosts.iter().any(|host| host.grudge <= now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A pod in which each second one request of a tenth of a second makes a call to a host.
    struct Pod {
        quiet: Quiet,
        now: u64,
        seen: Seen,
    }

    impl Pod {
        fn new() -> Self {
            Self { quiet: Quiet::UNKNOWN, now: 0, seen: Seen::NOTHING }
        }

        fn becomes(&mut self, after: u64, seen: Seen) {
            self.now += after;
            self.quiet.watch(self.now, self.seen, seen);
            self.seen = seen;
        }

        fn call(&mut self, host: u64) -> bool {
            let (now, requests) = ((self.now / SECOND) as u32, self.seen.requests());
            self.quiet.call(host, now, || requests)
        }

        /// Whether its call belongs to the request.
        fn request(&mut self, host: u64) -> bool {
            self.becomes(SECOND / 20, self.seen.and_one(1));
            let is_single = self.call(host);
            self.becomes(SECOND / 10, self.seen.but_one(1));
            self.becomes(SECOND * 17 / 20, self.seen);
            is_single
        }

        /// How many requests it takes until a call is believed to be theirs.
        fn requests_until_believed(&mut self, host: u64) -> Option<usize> {
            (1..2_000).find(|_| self.request(host))
        }
    }

    #[test]
    fn a_pod_that_never_calls_while_nothing_is_in_flight_is_soon_believed() {
        // Of 23 calls one could be the pod's own, at the rate that was not seen in nine times as long.
        assert_eq!(Pod::new().requests_until_believed(1), Some(23));
    }

    #[test]
    fn a_host_that_is_called_while_nothing_is_in_flight_is_not_believed_for_long() {
        let mut pod = Pod::new();
        assert!(pod.requests_until_believed(1).is_some());
        assert!(pod.requests_until_believed(2).is_some());
        assert!(!pod.call(2), "nothing is in flight");
        assert!(pod.request(1), "another host is as before");
        let again = pod.requests_until_believed(2).unwrap();
        assert!((1_150..1_250).contains(&again), "{again}");
    }

    #[test]
    fn calls_of_several_requests_say_nothing() {
        let mut pod = Pod::new();
        pod.becomes(0, pod.seen.and_one(1).and_one(2));
        for _ in 0..10_000 {
            assert!(!pod.call(1));
        }
        assert_eq!(pod.quiet.hosts[0].calls, 0.0);
    }

    #[test]
    fn a_pod_that_is_hardly_ever_idle_is_not_believed() {
        let mut pod = Pod::new();
        for _ in 0..1_000 {
            pod.becomes(SECOND / 1_000, pod.seen.and_one(1));
            assert!(!pod.call(1));
            pod.becomes(SECOND, pod.seen.but_one(1));
        }
    }

    #[test]
    fn time_in_which_there_were_events_that_nobody_told_counts_for_nothing() {
        let mut quiet = Quiet::UNKNOWN;
        let one = Seen::NOTHING.and_one(1);
        quiet.watch(SECOND, Seen::NOTHING, Seen::NOTHING);
        quiet.watch(3 * SECOND, Seen::NOTHING, Seen::NOTHING);
        assert_eq!((quiet.idle, quiet.single), (2.0, 0.0));
        // One has come and gone meanwhile, and a third is there now.
        quiet.watch(9 * SECOND, one.but_one(1), one.but_one(1));
        quiet.watch(10 * SECOND, one.but_one(1).and_one(5), one);
        assert_eq!((quiet.idle, quiet.single), (2.0, 0.0));
    }

    #[test]
    fn samples_will_do() {
        let mut quiet = Quiet::UNKNOWN;
        let one = Seen::NOTHING.and_one(1);
        for (seen, seconds) in
            [(Seen::NOTHING, 1), (one, 1), (one.and_one(2), 1), (Seen::NOTHING, 3)]
        {
            quiet.sample(seen, seconds);
        }
        assert_eq!((quiet.idle, quiet.single), (4.0, 1.0));
    }

    #[test]
    fn hosts_beyond_the_most_are_never_believed() {
        let mut pod = Pod::new();
        pod.becomes(0, pod.seen.and_one(1));
        for host in 0..MOST_HOSTS as u64 {
            pod.call(host);
        }
        pod.becomes(0, pod.seen.but_one(1));
        assert_eq!(pod.requests_until_believed(1_000), None);
        assert_eq!(pod.quiet.hosts.len(), MOST_HOSTS);
        assert_eq!(pod.quiet.full, 2_000 - 1, "each of its calls");
    }
}
