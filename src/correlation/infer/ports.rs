//! By which connections an application makes its calls: threads keep theirs, pools hand them out to anybody.

/// The most connections that are remembered.
const MOST_PORTS: usize = 64;

/// Whose connection it is that a call is made by.
pub(super) const OWN: usize = 0;
pub(super) const OTHERS: usize = 1;
pub(super) const FREE: usize = 2;
pub(super) const NEW: usize = 3;

#[derive(Clone, Copy, Debug)]
struct Port {
    port: u16,
    time: u64,
    is_busy: bool,
}

/// What is known of connections.
#[derive(Debug)]
pub(super) struct Ports {
    known: Vec<Port>,
    /// How often which, of a request's first call and of later ones.
    counts: [[f32; 4]; 2],
    /// How often it is the one that was used last, the one that was not for longest, another, a new one.
    order: [f32; 4],
    /// How much better calls are foretold by whose connection it is than by the order of use, as a logarithm.
    affinity: f32,
}

/// What a call's connection says of whose it is: the logarithm of how likely it is taken, by whose it is,
/// for a request's first call and for later ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    pub(super) port: u16,
    pub(super) is_new: bool,
    pub(super) likely: [[f32; 4]; 2],
    /// By whose it is alone, and by the order of use alone.
    of_owner: [[f32; 4]; 2],
    of_order: f32,
    /// For a call that belongs to nobody: the logarithm of how likely any connection is.
    pub(super) of_nobody: f32,
    has_choice: bool,
}

impl Evidence {
    /// Of a request that had made its latest call by `own`; `is_others` if another has this port.
    pub(super) fn kind(&self, own: u16, is_others: bool) -> (usize, usize) {
        let is_later = usize::from(own != 0);
        let whose = if self.is_new {
            NEW
        } else if own == self.port {
            OWN
        } else if is_others {
            OTHERS
        } else {
            FREE
        };
        (is_later, whose)
    }

    pub(super) fn of_owner(&self, is_later: usize, whose: usize) -> f32 {
        self.of_owner[is_later][whose]
    }

    pub(super) fn of(&self, own: u16, is_others: bool) -> f32 {
        let (is_later, whose) = self.kind(own, is_others);
        self.likely[is_later][whose]
    }
}

impl Ports {
    pub(super) const fn new() -> Self {
        let counts = [[0.0, 1.0, 2.0, 1.0], [1.5, 1.0, 1.5, 1.0]];
        Self { known: Vec::new(), counts, order: [1.0; 4], affinity: -1.0 }
    }

    /// A call is made by a port while so many requests are in flight.
    pub(super) fn call(&mut self, port: u16, now: u64, in_flight: usize) -> Evidence {
        if port == 0 {
            return Evidence::default();
        }
        let is_idle = |it: &&Port| !it.is_busy && it.time + 5_000_000 > now;
        let idle = self.known.iter().filter(is_idle).count();
        let latest = self.known.iter().filter(is_idle).max_by_key(|it| it.time).map(|it| it.port);
        let earliest = self.known.iter().filter(is_idle).min_by_key(|it| it.time).map(|it| it.port);
        let numbers = [1.0, in_flight.saturating_sub(1).clamp(1, idle.max(1)) as f32, idle.saturating_sub(in_flight).max(1) as f32, 1.0];
        let is_new = match self.known.iter_mut().find(|it| it.port == port) {
            Some(known) => {
                (known.time, known.is_busy) = (now, true);
                false
            }
            None => {
                if self.known.len() >= MOST_PORTS
                    && let Some(oldest) = (0..self.known.len()).min_by_key(|it| self.known[*it].time)
                {
                    self.known.swap_remove(oldest);
                }
                self.known.push(Port { port, time: now, is_busy: true });
                true
            }
        };
        let order = if is_new {
            3
        } else if latest == Some(port) {
            0
        } else if earliest == Some(port) {
            1
        } else {
            2
        };
        let among = if order == 2 { idle.saturating_sub(2).max(1) as f32 } else { 1.0 };
        let of_order = self.order[order] / self.order.iter().sum::<f32>() / among;
        let share = 1.0 / (1.0 + (-self.affinity).exp());
        let mut likely = [[0.0; 4]; 2];
        let mut of_owner = [[0.0; 4]; 2];
        for ((likely, of_owner), counts) in likely.iter_mut().zip(&mut of_owner).zip(&self.counts) {
            let total: f32 = counts.iter().sum();
            for (((likely, of_owner), count), number) in likely.iter_mut().zip(of_owner).zip(counts).zip(numbers) {
                *of_owner = count.max(0.05) / total / number;
                *likely = (*of_owner * share + of_order * (1.0 - share)).ln();
            }
        }
        let has_choice = idle >= 2;
        if has_choice {
            self.order[order] += 1.0;
            if self.order.iter().sum::<f32>() > 500.0 {
                self.order.iter_mut().for_each(|it| *it *= 0.5);
            }
        }
        let of_nobody = (share / (idle + 1) as f32 + of_order * (1.0 - share)).ln();
        Evidence { of_nobody, port, is_new, likely, of_owner, of_order, has_choice }
    }

    /// How likely it was by whose connection it is, on the whole.
    pub(super) fn foretold(&mut self, evidence: &Evidence, of_owner: f32) {
        if evidence.has_choice {
            self.affinity = (self.affinity * 0.995 + (of_owner / evidence.of_order).ln()).clamp(-7.0, 7.0);
        }
    }

    /// Whether whose connection it is says more than the order of use.
    pub(super) fn have_owners(&self) -> bool {
        self.affinity > 0.0
    }

    pub(super) fn answered(&mut self, port: u16, now: u64) {
        if let Some(known) = self.known.iter_mut().find(|it| it.port == port) {
            (known.is_busy, known.time) = (false, now);
        }
    }

    pub(super) fn learn(&mut self, evidence: &Evidence, is_later: usize, whose: usize, weight: f32) {
        if !evidence.has_choice {
            return;
        }
        self.counts[is_later][whose] += weight;
        if self.counts[is_later].iter().sum::<f32>() > 1000.0 {
            self.counts[is_later].iter_mut().for_each(|it| *it *= 0.5);
        }
    }
}
