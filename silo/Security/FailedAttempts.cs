using System.Net;
using System.Net.Sockets;

namespace IommuFd.Silo.Security;

// Each address may give a few wrong proofs at once, and then one more every few seconds. Until then nothing of it is looked at, right or wrong: otherwise guesses would be as
// fast as ever. Only addresses that failed lately are known, and a bounded number of them.

/// <summary>Which addresses have given wrong proofs lately. Thread-safe.</summary>
/// <param name="limit">How many an address may give at once, and after how long it may give one more.</param>
/// <param name="time">The clock.</param>
internal sealed class FailedAttempts((int Most, TimeSpan Each) limit, TimeProvider time)
{
    /// <summary>The limit of every door: ten at once, and then one every six seconds.</summary>
    public static readonly (int Most, TimeSpan Each) Usual = (10, TimeSpan.FromSeconds(6));

    private const int MaxAddresses = 4096;

    // The rest of an IPv6 address is its user's to choose.
    private const int NetworkBytes = 8;

    private readonly Lock _lock = new();

    // When each address will have as many attempts as at first: its failures, each moves that on.
    private readonly Dictionary<IPAddress, DateTimeOffset> _clean = [];

    /// <summary>How long an address must wait before its next proof is looked at; zero where it need not.</summary>
    public TimeSpan Wait(IPAddress from)
    {
        lock (_lock)
        {
            var wait = _clean.GetValueOrDefault(NetworkOf(from)) - time.GetUtcNow() - ((limit.Most - 1) * limit.Each);
            return wait > TimeSpan.Zero ? wait : TimeSpan.Zero;
        }
    }

    /// <summary>An address has given a wrong proof.</summary>
    public void Add(IPAddress from)
    {
        var (network, now) = (NetworkOf(from), time.GetUtcNow());
        lock (_lock)
        {
            var clean = _clean.GetValueOrDefault(network);
            if (clean == default && _clean.Count >= MaxAddresses)
            {
                Forget(now);
            }

            _clean[network] = (clean > now ? clean : now) + limit.Each;
        }
    }

    // Those that may try as often as at first, and if there are none, the one that may soonest.
    private void Forget(DateTimeOffset now)
    {
        foreach (var (network, _) in _clean.Where(known => known.Value <= now).ToList())
        {
            _clean.Remove(network);
        }

        if (_clean.Count >= MaxAddresses)
        {
            _clean.Remove(_clean.MinBy(known => known.Value).Key);
        }
    }

    private static IPAddress NetworkOf(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
        {
            return address.MapToIPv4();
        }

        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return address;
        }

        var bytes = address.GetAddressBytes();
        bytes.AsSpan(NetworkBytes).Clear();
        return new IPAddress(bytes);
    }
}
