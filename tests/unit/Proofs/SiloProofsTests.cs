using System.Net;
using IommuFd.Grains.Proofs;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Proofs;

public sealed class SiloProofsTests
{
    private static readonly SiloAddress Here = SiloAddress.New(IPAddress.Loopback, 1, 1);
    private static readonly SiloAddress There = SiloAddress.New(IPAddress.Loopback, 2, 1);

    private readonly List<SiloProof> _asked = [];
    private SiloProof? _genuine;

    private SiloProofs Proofs(SiloAddress silo) => new(
        silo,
        proof =>
        {
            _asked.Add(proof);
            return Task.FromResult(proof == _genuine);
        },
        TimeProvider.System,
        NullLogger.Instance);

    [Fact]
    public async Task A_silo_knows_its_own_proof_and_no_other_of_its_name_without_asking()
    {
        var proofs = Proofs(Here);
        Expect.That(await proofs.IsGenuineAsync(proofs.Own, default), "A silo's own proof is refused.");
        Expect.That(await proofs.IsGenuineAsync(new SiloProof(Here, proofs.Own.Secret), default), "A silo's own proof that has travelled is refused.");
        Expect.That(!await proofs.IsGenuineAsync(new SiloProof(Here, Guid.NewGuid()), default), "A made-up proof of this silo is accepted.");
        Expect.That(!await proofs.IsGenuineAsync(null, default), "A call without a proof is accepted.");
        Expect.That(!await proofs.IsGenuineAsync(new SiloProof(null!, proofs.Own.Secret), default), "A proof without a silo is accepted.");
        Expect.Sequence([], _asked, "proofs that other silos were asked about");
    }

    [Fact]
    public async Task Another_silos_proof_is_asked_about_until_it_is_found_genuine()
    {
        var proofs = Proofs(Here);
        var other = Proofs(There).Own;
        Expect.That(!await proofs.IsGenuineAsync(other, default), "A proof is accepted whose silo does not confirm it.");
        _genuine = other;
        Expect.That(await proofs.IsGenuineAsync(other, default), "A proof is refused though its silo confirms it.");
        Expect.Equal(2, _asked.Count, "questions before the proof was known");

        Expect.That(await proofs.IsGenuineAsync(new SiloProof(There, other.Secret), default), "A known proof is refused.");
        Expect.That(!await proofs.IsGenuineAsync(new SiloProof(There, Guid.NewGuid()), default), "A made-up proof of a known silo is accepted.");
        Expect.Equal(2, _asked.Count, "questions once the proof was known");
    }

    [Fact]
    public void No_text_has_a_proofs_secret()
    {
        var proof = Proofs(Here).Own;
        Expect.That(!$"{proof} {new Grains.Calls.ObjectStamp(1, 1, true, Proof: proof)}".Contains($"{proof.Secret}", StringComparison.OrdinalIgnoreCase), "A proof shows its secret.");
    }
}
