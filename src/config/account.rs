//! What the API is reached with: all that is known of a storage while it is being set up.

use super::fields::Fields;
use super::{Credentials, Nas, Raw, credentials, named, nas, secrets};
use crate::error::Result;

#[derive(Debug, Clone)]
pub struct Account {
    pub storeid: String,
    pub nas: Nas,
    pub credentials: Credentials,
}

impl Account {
    pub fn parse_with(storeid: &str, raw: &Raw, stored: &secrets::Stored) -> Result<Self> {
        let fields = Fields::new(raw);
        let parsed = nas(&fields).and_then(|nas| Ok((nas, credentials(storeid, &fields, stored)?)));
        let (nas, credentials) = parsed.map_err(|error| named(storeid, error))?;
        Ok(Self {
            storeid: storeid.to_owned(),
            nas,
            credentials,
        })
    }
}
