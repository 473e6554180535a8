// Storage of oidc-provider's models in Redis, by the adapter interface its documentation describes.
// What can be consumed is a hash (payload, consumed); everything else is one string. Every write is one round trip.

const CONSUMABLE = new Set(["AuthorizationCode", "RefreshToken", "DeviceCode", "BackchannelAuthenticationRequest",
  "PushedAuthorizationRequest"]);
const OF_A_GRANT = new Set(["AccessToken", "AuthorizationCode", "RefreshToken", "DeviceCode",
  "BackchannelAuthenticationRequest"]);

export function redisAdapter(redis) {
  return class RedisAdapter {
    constructor(model) {
      this.model = model;
    }

    #key(id) {
      return `${this.model}:${id}`;
    }

    async upsert(id, payload, expiresIn) {
      const key = this.#key(id);
      const text = JSON.stringify(payload);
      const writes = redis.multi();
      if (CONSUMABLE.has(this.model)) {
        writes.hset(key, "payload", text);
        if (expiresIn) writes.expire(key, expiresIn);
      } else if (expiresIn) {
        writes.set(key, text, "EX", expiresIn);
      } else {
        writes.set(key, text);
      }
      if (payload.grantId && OF_A_GRANT.has(this.model)) {
        const members = `members:${payload.grantId}`;
        writes.sadd(members, key);
        // A grant's list must outlive each of its members, so a shorter life never replaces a longer one.
        if (expiresIn) writes.expire(members, expiresIn, "NX").expire(members, expiresIn, "GT");
      }
      if (this.model === "Session" && payload.uid) {
        writes.set(`session-uid:${payload.uid}`, id, ...(expiresIn ? ["EX", expiresIn] : []));
      }
      await writes.exec();
    }

    async find(id) {
      if (CONSUMABLE.has(this.model)) {
        const [text, consumed] = await redis.hmget(this.#key(id), "payload", "consumed");
        if (!text) return undefined;
        const payload = JSON.parse(text);
        if (consumed) payload.consumed = Number(consumed);
        return payload;
      }
      const text = await redis.get(this.#key(id));
      return text ? JSON.parse(text) : undefined;
    }

    async findByUid(uid) {
      const id = await redis.get(`session-uid:${uid}`);
      return id ? this.find(id) : undefined;
    }

    // The journey has no device flow, so no user codes are ever stored.
    async findByUserCode() {
      return undefined;
    }

    async consume(id) {
      await redis.hset(this.#key(id), "consumed", Math.floor(Date.now() / 1000));
    }

    async destroy(id) {
      await redis.del(this.#key(id));
    }

    async revokeByGrantId(grantId) {
      const members = `members:${grantId}`;
      const keys = await redis.smembers(members);
      await redis.del(members, ...keys);
    }
  };
}
