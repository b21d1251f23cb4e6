-- The log. A channel's row is the lock of all who publish to it, so its offsets are dense and become visible in their
-- order. Its epoch is made with it; `line` is the server's timeline: after a promotion, or a restore from archives, the
-- past may be another one, and the row's next event begins a new epoch.
CREATE TABLE channel (
	key text COLLATE "C" PRIMARY KEY,
	epoch text NOT NULL,
	line text NOT NULL,
	last bigint NOT NULL DEFAULT 0,
	used timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE log (
	channel text COLLATE "C" NOT NULL REFERENCES channel ON DELETE CASCADE,
	epoch text NOT NULL,
	place bigint NOT NULL,
	id uuid NOT NULL,
	at timestamptz NOT NULL,
	body text NOT NULL,
	PRIMARY KEY (channel, epoch, place),
	UNIQUE (channel, epoch, id)
);
CREATE INDEX ON log (at);

CREATE FUNCTION line() RETURNS text LANGUAGE sql AS $$
	SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
$$;

-- The offset before the oldest entry that is kept.
CREATE FUNCTION base(c channel) RETURNS float8 LANGUAGE sql STABLE AS $$
	SELECT coalesce((SELECT min(l.place) - 1 FROM log l WHERE l.channel = c.key AND l.epoch = c.epoch), c.last)
$$;

CREATE FUNCTION publish(k text, fresh text, ids uuid[], bodies text[])
RETURNS TABLE (epoch text, place float8, duplicate boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	c channel;
	said text;
BEGIN
	INSERT INTO channel AS t (key, epoch, line) VALUES (k, fresh, line())
	ON CONFLICT (key) DO UPDATE SET
		epoch = CASE t.line WHEN EXCLUDED.line THEN t.epoch ELSE EXCLUDED.epoch END,
		last = CASE t.line WHEN EXCLUDED.line THEN t.last ELSE 0 END,
		line = EXCLUDED.line
	RETURNING t.* INTO c;
	FOR i IN 1 .. cardinality(ids) LOOP
		publish.epoch := c.epoch;
		publish.place := (SELECT l.place FROM log l WHERE l.channel = k AND l.epoch = c.epoch AND l.id = ids[i]);
		publish.duplicate := publish.place IS NOT NULL;
		IF NOT publish.duplicate THEN
			c.last := c.last + 1;
			-- Never before the one in front of it: what expires would leave a hole.
			c.used := greatest(c.used, clock_timestamp());
			INSERT INTO log VALUES (k, c.epoch, c.last, ids[i], c.used, bodies[i]);
			-- A notification holds less than 8,000 bytes: of what is longer only the position is told.
			said := k || ' ' || c.epoch || ' ' || c.last || ' ';
			PERFORM pg_notify(current_schema(), said || CASE WHEN octet_length(said || bodies[i]) < 8000 THEN bodies[i] ELSE '' END);
			publish.place := c.last;
		END IF;
		RETURN NEXT;
	END LOOP;
	UPDATE channel SET last = c.last, used = c.used WHERE key = k;
END $$;

-- What is asked for lives on. No row's lock is waited for: two who renew many would wait for each other.
CREATE FUNCTION ends(keys text[], kept interval)
RETURNS TABLE (key text, epoch text, "offset" float8) LANGUAGE sql AS $$
	UPDATE channel SET used = clock_timestamp() WHERE key IN (
		SELECT key FROM channel WHERE key = ANY (keys) AND used < now() - kept / 4 FOR UPDATE SKIP LOCKED
	);
	SELECT c.key, c.epoch, c.last FROM channel c WHERE c.key = ANY (keys) AND c.line = line();
$$;

-- One row without an entry where the log has none after the position; no row where there is no log.
CREATE FUNCTION page(k text, its_epoch text, after bigint, since timestamptz, most int, bytes int)
RETURNS TABLE (epoch text, base float8, last float8, place float8, body text) LANGUAGE sql STABLE AS $$
	SELECT c.epoch, base(c), c.last, e.place, e.body FROM channel c LEFT JOIN LATERAL (
		SELECT l.place, l.body, row_number() OVER w AS n, sum(octet_length(l.body)) OVER w AS bytes FROM log l
		WHERE l.channel = c.key AND l.epoch = c.epoch AND l.at >= since
			AND l.place > CASE WHEN c.epoch = its_epoch AND c.last >= after THEN after ELSE 0 END
		WINDOW w AS (ORDER BY l.place ROWS UNBOUNDED PRECEDING) ORDER BY l.place LIMIT most
	) e ON e.n = 1 OR e.bytes <= page.bytes
	WHERE c.key = k AND c.line = line() ORDER BY e.place
$$;

-- What is too old goes, the oldest first and about so many rows at a time, by one instance at a time; says whether more
-- has to. An entry is never older than the one in front of it, so what is left of a log has no holes.
CREATE FUNCTION sweep(kept interval, most int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := (SELECT at FROM log WHERE at < now() - kept ORDER BY at OFFSET most LIMIT 1);
BEGIN
	IF NOT pg_try_advisory_xact_lock(hashtext(current_schema()), 1) THEN RETURN false; END IF;
	DELETE FROM log WHERE at <= coalesce(until, now() - kept);
	IF until IS NULL THEN DELETE FROM channel WHERE used < now() - kept; END IF;
	RETURN until IS NOT NULL;
END $$;

-- How well the server keeps what it accepted.
CREATE FUNCTION durability() RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		WHEN current_setting('fsync') = 'off' OR current_setting('synchronous_commit') = 'off' THEN 'memory'
		WHEN current_setting('synchronous_commit') = 'local' OR current_setting('synchronous_standby_names') = '' THEN 'disk'
		ELSE 'replicated'
	END
$$;
