"""SQL of the append-only audit log and its chain of digests. docs/adr/0031-audit-chain.md says why."""

# The text of an entry that its digest covers. fleet/selectors/audit_chain.py has the same expression; a test compares them.
TEXT = """
CREATE FUNCTION muster_audit_text(e fleet_auditentry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_array('v1', e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), e.actor_id, e.actor_name,
                             e.action, e.subject, e.reason, e.detail, e.via, e.address, e.request_id)::text
$$;
"""

# Appends one link. The lock makes commits with audit entries wait for each other, no longer than a commit takes; it is taken at the
# end of a transaction, so that it cannot deadlock with row locks.
LINK = """
CREATE FUNCTION muster_audit_link(e fleet_auditentry) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before record;
    own_day date := least((e.at AT TIME ZONE 'UTC')::date, (clock_timestamp() AT TIME ZONE 'UTC')::date);
    next_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('fleet_auditlink'));
    SELECT number, day, digest INTO before FROM fleet_auditlink ORDER BY number DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT last_number AS number, day, digest INTO before FROM fleet_auditday ORDER BY day DESC LIMIT 1;
    END IF;
    next_number := coalesce(before.number, 0) + 1;
    INSERT INTO fleet_auditlink (number, entry_id, day, previous, digest) VALUES (
        next_number, e.id, greatest(own_day, before.day), coalesce(before.digest, ''),
        encode(sha256(convert_to(coalesce(before.digest, '') || E'\\n' || next_number || E'\\n' || muster_audit_text(e), 'UTF8')), 'hex')
    );
END $$;
CREATE FUNCTION muster_audit_append() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM muster_audit_link(NEW);
    RETURN NULL;
END $$;
"""

# Drops whole days that are at least 30 days old, oldest first, and keeps of each its numbers and digests.
DROP_DAYS = """
CREATE FUNCTION muster_audit_drop_days(before date) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    limit_day date := least(before, (clock_timestamp() AT TIME ZONE 'UTC')::date - 30);
    dropped bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('fleet_auditlink'));
    INSERT INTO fleet_auditday (day, first_number, last_number, previous, digest, dropped_at)
        SELECT days.day, days.first, days.last, f.previous, l.digest, clock_timestamp()
        FROM (SELECT day, min(number) AS first, max(number) AS last FROM fleet_auditlink WHERE day < limit_day GROUP BY day) days
        JOIN fleet_auditlink f ON f.number = days.first
        JOIN fleet_auditlink l ON l.number = days.last;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    EXECUTE 'GRANT DELETE ON fleet_auditentry, fleet_auditlink TO CURRENT_USER';
    DELETE FROM fleet_auditentry e USING fleet_auditlink l WHERE l.entry_id = e.id AND l.day < limit_day;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    DELETE FROM fleet_auditlink WHERE day < limit_day;
    EXECUTE 'REVOKE DELETE ON fleet_auditentry, fleet_auditlink FROM CURRENT_USER';
    RETURN dropped;
END $$;
"""

GUARDS = """
CREATE FUNCTION muster_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is append-only: % of % is refused.', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE FUNCTION muster_audit_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'fleet_auditlink' THEN
        IF EXISTS (SELECT FROM fleet_auditday d WHERE d.day = OLD.day) THEN
            RETURN OLD;
        END IF;
    ELSIF EXISTS (SELECT FROM fleet_auditlink l JOIN fleet_auditday d ON d.day = l.day WHERE l.entry_id = OLD.id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'The audit log is append-only: DELETE of % is refused.', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- Only the functions above insert these rows: an INSERT by hand has none of them on its stack.
CREATE FUNCTION muster_audit_refuse_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF stack ~ 'muster_audit_(link|drop_days)[(]' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'Only the database appends to %.', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON fleet_auditentry FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse();
CREATE TRIGGER audit_no_update BEFORE UPDATE ON fleet_auditlink FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse();
CREATE TRIGGER audit_no_update BEFORE UPDATE OR DELETE ON fleet_auditday FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON fleet_auditentry FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON fleet_auditlink FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON fleet_auditday FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON fleet_auditentry FOR EACH ROW EXECUTE FUNCTION muster_audit_refuse_delete();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON fleet_auditlink FOR EACH ROW EXECUTE FUNCTION muster_audit_refuse_delete();
CREATE TRIGGER audit_own_insert BEFORE INSERT ON fleet_auditlink FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse_insert();
CREATE TRIGGER audit_own_insert BEFORE INSERT ON fleet_auditday FOR EACH STATEMENT EXECUTE FUNCTION muster_audit_refuse_insert();
CREATE CONSTRAINT TRIGGER audit_append AFTER INSERT ON fleet_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION muster_audit_append();

-- A fixed search path: a table of the same name in another schema is not used instead.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['muster_audit_link(fleet_auditentry)', 'muster_audit_append()', 'muster_audit_drop_days(date)',
                                'muster_audit_refuse_delete()', 'muster_audit_text(fleet_auditentry)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_catalog, pg_temp', name, current_schema());
    END LOOP;
END $$;
REVOKE UPDATE, DELETE, TRUNCATE ON fleet_auditentry, fleet_auditlink FROM PUBLIC, CURRENT_USER;
REVOKE UPDATE, DELETE, TRUNCATE ON fleet_auditday FROM PUBLIC, CURRENT_USER;
"""
UNDO = """
DROP TRIGGER audit_no_update ON fleet_auditentry; DROP TRIGGER audit_no_truncate ON fleet_auditentry;
DROP TRIGGER audit_no_delete ON fleet_auditentry; DROP TRIGGER audit_append ON fleet_auditentry;
GRANT UPDATE, DELETE, TRUNCATE ON fleet_auditentry TO CURRENT_USER;
DROP FUNCTION muster_audit_refuse, muster_audit_refuse_delete, muster_audit_refuse_insert CASCADE;
DROP FUNCTION muster_audit_drop_days, muster_audit_append, muster_audit_link, muster_audit_text;
"""

FORWARD = TEXT + LINK + DROP_DAYS + GUARDS
BACKWARD = UNDO
