//! By which connections an application makes its calls: threads keep theirs, pools hand them out to anybody.

use super::maths::{exp, ln};

/// The most connections that are remembered.
const MOST_PORTS: usize = 64;
/// For how many microseconds one that is not used is taken for one that is still there.
const IDLE: u64 = 5_000_000;
/// What counts are halved at.
const MOST_ORDERS: f32 = 500.0;
const MOST_OWNERS: f32 = 1000.0;

/// Whose connection it is: the request's own, another's, one that is free, or a new one; for a request's
/// first call, the same for later ones, and that it belongs to nobody.
pub(super) const CLASSES: usize = 9;
const OTHERS: usize = 1;
const FREE: usize = 2;
const NEW: usize = 3;
const LATER: usize = 4;
pub(super) const NOBODY: usize = 8;

/// Connections towards the application that are remembered, by their places: first what stands for nobody's, and
/// last what stands for all that are not known.
pub(super) const NO_HOME: u8 = 32;
pub(super) const HOMES: usize = NO_HOME as usize + 1;
/// How many calls count for it that connections towards the application say nothing.
const DISTANCE: f32 = 2.0;
/// By how much calls have to be foretold better, as a logarithm, for each that could be anybody's.
const PRICE: f32 = 0.5;
/// After so many calls those of a home count half, at first; the next time after twice as many, and at last after so
/// many.
const FEW_AT_HOME: f32 = 10.0;
const MOST_AT_HOME: f32 = 200.0;
/// After so many calls it is judged whether asking is worth it; then, where it is not, for one of so many.
const TRIAL: f32 = 100.0;
const HARDLY: f32 = -4.0;
const INTERVAL: u32 = 16;

#[derive(Clone, Copy, Debug)]
struct Port {
    port: u16,
    time: u64,
    is_busy: bool,
    /// How many of its calls were of requests that had come by each connection towards the application.
    homes: [f32; HOMES],
    calls: f32,
}

/// A connection towards the application, and when it was last used.
#[derive(Clone, Copy, Debug)]
struct Home {
    port: u16,
    time: u64,
    /// Of how many calls it was, and how many there are before they count half.
    calls: f32,
    most: f32,
}

const HOME: Home = Home { port: 0, time: 0, calls: 0.0, most: FEW_AT_HOME };

/// How many times as likely it makes a call that a request has come by a connection, by the places of these, and
/// the part of that which is believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Homes {
    times: [f32; HOMES],
    part: f32,
}

impl Homes {
    fn believed(&self, times: f32) -> f32 {
        1.0 + (times - 1.0) * self.part
    }

    /// The logarithm of how many times as likely it is, as far as that is believed.
    pub(super) fn likely(&self, home: u8) -> f32 {
        ln(self.believed(self.times.get(usize::from(home)).copied().unwrap_or(1.0)))
    }
}

/// What is known of connections.
#[derive(Debug)]
pub(super) struct Ports {
    known: Vec<Port>,
    /// How often which.
    counts: [f32; NOBODY],
    /// How often it is the one that was used last, the one that was not for longest, another, a new one.
    order: [f32; 4],
    /// How much better calls are foretold by whose connection it is than by the order of use, as a logarithm.
    affinity: f32,
    /// Connections towards the application, when each was last used, and how much better calls are foretold by
    /// them, as a logarithm.
    homes: [Home; HOMES],
    home_calls: f32,
    homing: f32,
}

/// What a call's connection says of whose it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// Zero where it is not known.
    pub(super) port: u16,
    is_new: bool,
    has_choice: bool,
    /// The logarithm of how likely it is taken.
    likely: [f32; CLASSES],
    /// How likely by whose it is alone, and by the order of use alone.
    of_owner: [f32; CLASSES],
    of_order: f32,
}

impl Evidence {
    /// For a request that had made its latest call by `own`; `is_others` if another has this port.
    pub(super) fn class(&self, own: u16, is_others: bool) -> usize {
        let whose = if self.is_new {
            NEW
        } else if own == self.port {
            0
        } else if is_others {
            OTHERS
        } else {
            FREE
        };
        if own == 0 { whose } else { whose + LATER }
    }

    pub(super) fn likely(&self, class: usize) -> f32 {
        self.likely.get(class).copied().unwrap_or(0.0)
    }

    /// How likely it is by whose it is, as against what it is taken for.
    pub(super) fn of_owner(&self, class: usize) -> f32 {
        self.of_owner.get(class).copied().unwrap_or(0.0)
    }
}

impl Ports {
    pub(super) const NONE: Self = Self {
        known: Vec::new(),
        counts: [0.0, 1.0, 2.0, 1.0, 1.5, 1.0, 1.5, 1.0],
        order: [1.0; 4],
        affinity: -1.0,
        homes: [HOME; HOMES],
        home_calls: 0.0,
        homing: -5.0,
    };

    /// A call is made by a port while so many requests are in flight.
    pub(super) fn call(&mut self, port: u16, now: u64, in_flight: usize) -> Evidence {
        if port == 0 {
            return Evidence::default();
        }
        let mut idle: usize = 0;
        let (mut latest, mut earliest) = ((0, 0), (u64::MAX, 0));
        for it in self.known.iter().filter(|it| !it.is_busy && it.time + IDLE > now) {
            idle += 1;
            latest = latest.max((it.time, it.port));
            earliest = earliest.min((it.time, it.port));
        }
        let is_new = self.uses(port, now);
        let order = match port {
            _ if is_new => 3,
            _ if port == latest.1 => 0,
            _ if port == earliest.1 => 1,
            _ => 2,
        };
        let among = if order == 2 { idle.saturating_sub(2).max(1) as f32 } else { 1.0 };
        let all: f32 = self.order.iter().sum();
        let of_order = self.order.get(order).copied().unwrap_or(1.0) / all / among;
        let share = 1.0 / (1.0 + exp(-self.affinity));
        let mut evidence =
            Evidence { port, is_new, has_choice: idle >= 2, of_order, ..Evidence::default() };
        let others = in_flight.saturating_sub(1).clamp(1, idle.max(1)) as f32;
        let numbers = [1.0, others, idle.saturating_sub(in_flight).max(1) as f32, 1.0];
        // What is nobody's is by any.
        evidence.of_owner = [1.0 / (idle + 1) as f32; CLASSES];
        let (owners, _) = evidence.of_owner.as_chunks_mut::<LATER>();
        for (owners, counts) in owners.iter_mut().zip(self.counts.as_chunks::<LATER>().0) {
            let total: f32 = counts.iter().sum();
            for ((of_owner, count), among) in owners.iter_mut().zip(counts).zip(numbers) {
                *of_owner = count.max(0.05) / (among * total);
            }
        }
        for (likely, of_owner) in evidence.likely.iter_mut().zip(evidence.of_owner) {
            *likely = ln(of_owner * share + of_order * (1.0 - share));
        }
        if evidence.has_choice {
            count(&mut self.order, order, 1.0, MOST_ORDERS);
        }
        evidence
    }

    /// A call by this port begins; whether it is a new one.
    fn uses(&mut self, port: u16, time: u64) -> bool {
        let (homes, calls) = ([0.0; HOMES], 0.0);
        let it = Port { port, time, is_busy: true, homes, calls };
        if let Some(known) = self.known.iter_mut().find(|known| known.port == port) {
            (known.time, known.is_busy) = (time, true);
            return false;
        }
        if self.known.len() < MOST_PORTS {
            self.known.push(it);
        } else if let Some(oldest) = self.known.iter_mut().min_by_key(|known| known.time) {
            *oldest = it;
        }
        true
    }

    /// The place of a connection towards the application, by which a request has come.
    pub(super) fn home(&mut self, port: u16, time: u64) -> u8 {
        let places = self.homes.iter_mut().enumerate().take(NO_HOME.into()).skip(1);
        let place = places.max_by_key(|(_, it)| (it.port == port, u64::MAX - it.time));
        let Some((place, home)) = place else { return NO_HOME };
        if home.port == port {
            home.time = time;
            return place as u8;
        }
        *home = Home { port, time, ..HOME };
        for calls in self.known.iter_mut().filter_map(|it| it.homes.get_mut(place)) {
            *calls = 0.0;
        }
        place as u8
    }

    /// What the connection of a call says of those that requests have come by.
    pub(super) fn homes(&self, port: u16) -> Homes {
        let mut times = [1.0; HOMES];
        if let Some(known) = self.known.iter().find(|it| it.port == port) {
            let usual = (known.calls + 0.1) / (self.home_calls + 1.0);
            for ((times, calls), home) in times.iter_mut().zip(&known.homes).zip(&self.homes) {
                *times = (calls / usual + DISTANCE) / (home.calls + DISTANCE);
            }
        }
        Homes { times, part: 1.0 / (1.0 + exp(-self.homing)) }
    }

    /// Whether it is worth asking by which connection a request has come, for a call of this number.
    pub(super) fn wants_homes(&self, number: u32) -> bool {
        self.home_calls < TRIAL || self.homing > HARDLY || number.is_multiple_of(INTERVAL)
    }

    /// A call by a connection is so likely of requests that had come by each of others.
    #[inline(never)]
    pub(super) fn learn_homes(&mut self, port: u16, homes: &Homes, shares: &[f32; HOMES]) {
        let Some(it) = self.known.iter_mut().find(|it| it.port == port) else { return };
        let mut each = [[0.0; 2]; HOMES];
        let [mut otherwise, mut by_full] = [0.0; 2];
        for ((each, share), full) in each.iter_mut().zip(shares).zip(homes.times) {
            let without = share / homes.believed(full);
            *each = [without, without * full];
            otherwise += without;
            by_full += without * full;
        }
        let [mut unclear, mut sum] = [0.0; 2];
        let each = each.iter().zip(&mut it.homes).zip(&mut self.homes).take(NO_HOME.into());
        for (([without, full], calls), home) in each {
            let without = without / otherwise;
            unclear += without * (1.0 - without);
            // What is likely anyhow says nothing.
            let more = (1.0 - without) * full / by_full;
            *calls += more;
            home.calls += more;
            sum += more;
        }
        it.calls += sum;
        self.home_calls += sum;
        // How much better it was foretold, as far as it was unclear whose it is.
        let better = ln(by_full / otherwise) - PRICE * unclear;
        self.homing = (self.homing * 0.995 + better).clamp(-7.0, 7.0);
        for (place, home) in self.homes.iter_mut().enumerate().filter(|(_, it)| it.calls > it.most)
        {
            (home.calls, home.most) = (home.calls * 0.5, (home.most * 2.0).min(MOST_AT_HOME));
            for calls in self.known.iter_mut().filter_map(|it| it.homes.get_mut(place)) {
                *calls *= 0.5;
            }
        }
        if self.home_calls > MOST_OWNERS {
            self.home_calls *= 0.5;
            self.known.iter_mut().for_each(|it| it.calls *= 0.5);
        }
    }

    /// How likely a call was by whose connection it is, on the whole and as it was taken.
    pub(super) fn foretold(&mut self, evidence: &Evidence, of_owner: f32) {
        if evidence.has_choice {
            let better = ln(of_owner / evidence.of_order);
            self.affinity = (self.affinity * 0.995 + better).clamp(-7.0, 7.0);
        }
    }

    /// Whether whose connection it is says more than the order of use.
    pub(super) fn have_owners(&self) -> bool {
        self.affinity > 0.0
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn answered(&mut self, port: u16, now: u64) {
        if let Some(known) = self.known.iter_mut().find(|it| it.port == port) {
            (known.is_busy, known.time) = (false, now);
        }
    }

    pub(super) fn learn(&mut self, evidence: &Evidence, class: usize, weight: f32) {
        if !evidence.has_choice || weight <= 0.0 {
            return;
        }
        let (first, later) = self.counts.split_at_mut(LATER);
        match class.checked_sub(LATER) {
            None => count(first, class, weight, MOST_OWNERS),
            Some(class) => count(later, class, weight, MOST_OWNERS),
        }
    }
}

/// Counts one of several, of which all are halved where there are too many.
fn count(counts: &mut [f32], place: usize, weight: f32, most: f32) {
    if let Some(count) = counts.get_mut(place) {
        *count += weight;
    }
    if counts.iter().sum::<f32>() > most {
        counts.iter_mut().for_each(|it| *it *= 0.5);
    }
}
