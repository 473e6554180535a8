-- Rows in bulk, for rows.py, which fills in the numbers.
INSERT INTO agency VALUES ('ris', 'jose', '{}', now(), NULL);

INSERT INTO client VALUES ('bank', 'fapi2', 'x', 'x', 'x', now(), 'x', 'x', 'x', NULL, NULL, '[]', '{}', NULL);

INSERT INTO citizen (id, username, name, national_id, birthdate, created_at, locale, totp_last_step)
SELECT i, 'u' || i, 'x', lpad(i::text, 10, '0'), now(), now(), 'en', 0
FROM generate_series(1, $citizens) i;

-- As long as the entries that are written later: one that is shorter would go where an old page has some octets left.
INSERT INTO audit_entry (at, event, success, actor, transaction_id, citizen_id, client_id, agency_id, dataset_id,
                         consent_id)
SELECT now() - interval '700 days' * (1 - i::float / $entries), 'token.leased', true, 'client:proxy',
       'T' || i % $tokens, 1 + (i::bigint * 7919) % $citizens, 'bank', 'ris', 'ris.personal', 'c' || i % $tokens
FROM generate_series(1, $entries) i;

-- Afterwards the first change of a page of the record costs an image of it in the log, as between any two checkpoints.
-- What is held for a day at most is written over and over meanwhile, and has its images already.
CHECKPOINT;

INSERT INTO consent
SELECT 'c' || i, 'T' || i, 1 + i % $citizens, 'bank', '[]', 'p', '[{}]', '{}', '1', 'zh-TW', 'x', NULL, NULL, 1, '[]',
       now(), now()
FROM generate_series(1, $tokens) i;

-- Tokens are held for a day after they expired, so most of them are spent.
INSERT INTO dataset_token (digest, consent_id, transaction_id, citizen_id, client_id, agency_id, dataset_id, position,
                           jkt, issued_at, expires_at, expires_limit_at, state, attempt)
SELECT sha256(('mdt_' || i)::bytea), 'c' || i, 'T' || i, 1 + i % $citizens, 'bank', 'ris', 'ris.personal', 0,
       repeat('j', 43), now(), now() + interval '1 hour', now() + interval '1 hour',
       CASE WHEN i <= $usable THEN 'issued' ELSE 'spent' END, 1
FROM generate_series(1, $tokens) i;

INSERT INTO $used
SELECT substr(sha256(i::text::bytea), 1, 16), 'd'
FROM generate_series(1, $tokens) i;

VACUUM ANALYZE;
