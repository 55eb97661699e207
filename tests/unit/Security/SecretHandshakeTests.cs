using System.IO.Pipelines;
using System.Security.Authentication;
using IommuFd.GrainInterfaces.Security;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Security;

/// <summary>The proof that comes before Orleans' first byte.</summary>
public sealed class SecretHandshakeTests
{
    private static readonly byte[] Secret = [.. Enumerable.Range(0, 32).Select(value => (byte)value)];

    private readonly Pipe _toSilo = new(), _toClient = new();

    private End SilosEnd => new End(_toSilo.Reader, _toClient.Writer);

    private End ClientsEnd => new End(_toClient.Reader, _toSilo.Writer);

    [Fact]
    public async Task Both_sides_prove_the_secret_and_what_follows_stays_for_the_next_reader()
    {
        var check = SecretHandshake.CheckAsync(SilosEnd, Secret, PortKind.Clients, CancellationToken.None);
        await SecretHandshake.ProveAsync(ClientsEnd, Secret, PortKind.Clients, CancellationToken.None);
        await ClientsEnd.Output.WriteAsync(new byte[] { 7 });

        Expect.Equal(PeerProof.Given, await check, "the proof of a peer that knows the secret");
        Expect.Sequence((byte[])[7], (await SilosEnd.Input.ReadAsync()).Buffer.FirstSpan.ToArray(), "what follows the handshake");
    }

    [Theory]
    [InlineData(0, (int)PortKind.Silos, (int)PeerProof.OtherPort)]
    [InlineData(1, (int)PortKind.Silos, (int)PeerProof.Wrong)]
    [InlineData(1, (int)PortKind.Clients, (int)PeerProof.Wrong)]
    public async Task A_proof_of_another_secret_or_for_another_port_is_none_and_gets_no_answer(int difference, int port, int proof)
    {
        byte[] other = [(byte)(Secret[0] + difference), .. Secret[1..]];
        var check = SecretHandshake.CheckAsync(SilosEnd, Secret, PortKind.Clients, CancellationToken.None);
        var prove = SecretHandshake.ProveAsync(ClientsEnd, other, (PortKind)port, CancellationToken.None);

        Expect.Equal((PeerProof)proof, await check, "the proof");
        Expect.That(!prove.IsCompleted, "The silo answered a wrong proof.");
        await _toClient.Writer.CompleteAsync();
        await Assert.ThrowsAsync<AuthenticationException>(() => prove);
    }

    [Fact]
    public async Task A_client_does_not_go_on_with_a_silo_that_only_sends_its_proof_back()
    {
        var prove = SecretHandshake.ProveAsync(ClientsEnd, Secret, PortKind.Clients, CancellationToken.None);
        await SilosEnd.Output.WriteAsync((byte[])[.. "iommufd\u0001"u8, .. new byte[32]]);
        var answer = await SilosEnd.Input.ReadAtLeastAsync(SecretHandshake.AnswerLength);
        await SilosEnd.Output.WriteAsync(answer.Buffer.FirstSpan[32..].ToArray());

        await Assert.ThrowsAsync<AuthenticationException>(() => prove);
    }

    [Fact]
    public async Task A_peer_that_leaves_in_the_middle_of_its_answer_has_given_none()
    {
        var check = SecretHandshake.CheckAsync(SilosEnd, Secret, PortKind.Clients, CancellationToken.None);
        await ClientsEnd.Output.WriteAsync(new byte[SecretHandshake.AnswerLength - 1]);
        await ClientsEnd.Output.CompleteAsync();

        Expect.Equal(PeerProof.None, await check, "the proof of a peer that has left");
    }

    [Fact]
    public async Task A_client_does_not_answer_what_is_no_challenge()
    {
        await SilosEnd.Output.WriteAsync(new byte[SecretHandshake.ChallengeLength]);

        await Assert.ThrowsAsync<AuthenticationException>(() => SecretHandshake.ProveAsync(ClientsEnd, Secret, PortKind.Clients, CancellationToken.None));
        Expect.That(!_toSilo.Reader.TryRead(out _), "The client answered what is no challenge.");
    }

    private sealed record End(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
