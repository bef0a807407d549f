//! What a server of Jaeger's remote sampling says about a service.
//!
//! <https://www.jaegertracing.io/docs/latest/architecture/apis/#remote-sampling-configuration>

use super::error::ConfigError;
use super::field::Field;
use super::{Percentage, json};

/// The most operations that are named.
const MAX_OPERATIONS: usize = 500;

/// The most traces a second: the number is one of 32 bits in Jaeger.
const MAX_RATE: f64 = i32::MAX as f64;

/// How many of a service's new traces are sampled, by a server's word.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// The share of new traces whose operation is not named.
    pub share: Percentage,
    /// The most new traces a second that are sampled, where there is a limit; not zero.
    pub at_most: Option<f64>,
    /// Shares of operations; of two for one operation the last counts, as in Jaeger's own clients.
    operations: Vec<(String, Percentage)>,
}

impl Strategy {
    /// The longest answer, in bytes: 128 KiB.
    pub const MAX_BYTES: usize = 128 << 10;

    /// Reads a server's answer, JSON of at most [`Self::MAX_BYTES`]: `{"probabilisticSampling":
    /// {"samplingRate": 0.5}}` is one, `{}` is none.
    ///
    /// As Jaeger's model asks, the first that is there counts of `operationSampling`,
    /// `probabilisticSampling` and `rateLimitingSampling`, and `strategyType` does not matter, a name or
    /// in older servers its number. What is left out is null or zero, as in any protobuf written as
    /// JSON, and keys that are not known do not matter either.
    /// <https://github.com/jaegertracing/jaeger-idl/blob/main/proto/api_v2/sampling.proto>
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        const NAME: &str = "answer";
        let answer = json::parse(NAME, json, Self::MAX_BYTES)?;
        let mut strategy = Self { share: Percentage::ALL, at_most: None, operations: Vec::new() };
        read(&mut strategy, &Field::at(NAME, &answer))?;
        Ok(strategy)
    }

    /// Every operation that is named, with its share.
    pub fn operations(&self) -> &[(String, Percentage)] {
        &self.operations
    }

    /// The share of an operation's new traces, if it is named.
    pub fn share_of(&self, operation: &[u8]) -> Option<Percentage> {
        let mut operations = self.operations.iter();
        operations.rfind(|(name, _)| name.as_bytes() == operation).map(|(_, share)| *share)
    }
}

fn read(strategy: &mut Strategy, answer: &Field<'_>) -> Result<(), ConfigError> {
    if let Some(field) = answer.member("operationSampling")? {
        return operations(strategy, &field);
    }
    if let Some(field) = answer.member("probabilisticSampling")? {
        strategy.share = share(&field, "samplingRate")?;
        return Ok(());
    }
    if let Some(field) = answer.member("rateLimitingSampling")? {
        let most = number(&field, "maxTracesPerSecond", MAX_RATE)?;
        match most > 0.0 {
            true => strategy.at_most = Some(most),
            false => strategy.share = Percentage::NONE,
        }
        return Ok(());
    }
    let allowed = "operationSampling, probabilisticSampling or rateLimitingSampling";
    Err(answer.instead("no strategy", allowed))
}

fn operations(strategy: &mut Strategy, field: &Field<'_>) -> Result<(), ConfigError> {
    strategy.share = share(field, "defaultSamplingProbability")?;
    // A lower bound, for which traces are sampled that no probability takes, is not kept to.
    let most = number(field, "defaultUpperBoundTracesPerSecond", MAX_RATE)?;
    strategy.at_most = Some(most).filter(|rate| *rate > 0.0);
    let Some(list) = field.member("perOperationStrategies")? else { return Ok(()) };
    for item in list.items(0..=MAX_OPERATIONS)? {
        let name = item.member("operation")?;
        let name = name.as_ref().map_or(Ok(""), Field::string)?;
        // One without a share is as those that are not named.
        let Some(field) = item.member("probabilisticSampling")? else { continue };
        strategy.operations.push((name.to_owned(), share(&field, "samplingRate")?));
    }
    Ok(())
}

fn share(field: &Field<'_>, name: &'static str) -> Result<Percentage, ConfigError> {
    let share = number(field, name, 1.0)?;
    Ok(Percentage::new(share * 100.0).unwrap_or(Percentage::ALL))
}

/// A number from zero on, 1 or [`MAX_RATE`] at most.
#[inline(never)]
fn number(field: &Field<'_>, name: &'static str, most: f64) -> Result<f64, ConfigError> {
    let Some(field) = field.member(name)? else { return Ok(0.0) };
    let number = field.number().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| {
        let one = "a number from 0 to 1";
        field.is_not(if most == 1.0 { one } else { "a number from 0 to 2147483647" })
    })
}
