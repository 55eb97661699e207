using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Proofs;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Contexts;

// A context's package on its way to another silo.

public sealed class ContextTransferTests
{
    private static readonly SiloProof Proof = TestProofs.None.Own;

    private readonly Dictionary<object, Box> _boxes = [];
    private readonly IGrainFactory _grains;

    public ContextTransferTests() => _grains = FakeGrainFactory.For((_, key) => _boxes.TryGetValue(key, out var box) ? box : _boxes[key] = new Box());

    [Fact]
    public async Task A_small_package_is_not_sent_ahead()
    {
        Expect.Equal(null, await SendAsync(Package(devices: 1)), "the ticket");
        Expect.Equal(0, _boxes.Count, "boxes");
    }

    [Fact]
    public async Task A_large_package_arrives_in_pieces_as_it_was_sent()
    {
        var package = Package(devices: 400);
        var transfer = (await SendAsync(package))!;
        var box = _boxes.Values.Single();
        Expect.That(transfer.Pieces > 3, $"The package is {transfer.Pieces} pieces.");
        Expect.Equal(transfer.Pieces, box.Pieces.Count, "pieces in the box");
        Expect.That(box.Pieces.All(piece => piece.Length <= 300_000), "A piece is longer than the others.");

        var received = await transfer.ReceiveAsync(Serialization.Serializer, _grains, Proof);
        Expect.Equal(Convert.ToHexString(Bytes(package)), Convert.ToHexString(Bytes(received!)), "the package that arrived");
        Expect.Equal(1, box.Ends, "how often the box was told that all is taken");
    }

    [Theory]
    [InlineData("a bit")]
    [InlineData("a piece")]
    [InlineData("the end")]
    [InlineData("the order")]
    public async Task What_is_not_whole_is_not_received(string missing)
    {
        var transfer = (await SendAsync(Package(devices: 400)))!;
        var pieces = _boxes.Values.Single().Pieces;
        switch (missing)
        {
            case "a bit":
                pieces[1][100] ^= 1;
                break;
            case "a piece":
                pieces.RemoveAt(1);
                break;
            case "the end":
                pieces.RemoveAt(pieces.Count - 1);
                break;
            default:
                (pieces[0], pieces[1]) = (pieces[1], pieces[0]);
                break;
        }

        Expect.Equal(null, await transfer.ReceiveAsync(Serialization.Serializer, _grains, Proof), $"what is received without {missing}");
    }

    [Fact]
    public async Task A_transfer_whose_silo_fails_ends_there_and_can_go_to_another()
    {
        var package = Package(devices: 400);
        var failing = FakeGrainFactory.For((_, key) => _boxes[key] = new Box { FailsAt = 2 });
        await Assert.ThrowsAsync<InvalidOperationException>(() => ContextTransfer.SendAsync(package, Serialization.Serializer, failing, Proof).AsTask());
        Expect.Equal(1, _boxes.Values.Single().Ends, "how often the box was told that the transfer has ended");
        Expect.That(await (await SendAsync(package))!.ReceiveAsync(Serialization.Serializer, _grains, Proof) is not null, "The second transfer has not arrived.");
    }

    [Fact]
    public async Task A_box_takes_and_gives_pieces_in_order_only()
    {
        var box = new HandoverBox(TestProofs.None);
        Expect.Equal(null, await box.TakeAsync(Proof, 0), "a piece of an empty box");
        Expect.That(!await box.AddAsync(Proof, 1, [1]), "The second piece was taken before the first.");
        Expect.That(await box.AddAsync(Proof, 0, [0]) && await box.AddAsync(Proof, 1, [1]), "A piece was refused.");
        Expect.That(!await box.AddAsync(Proof, 1, [1]), "A piece was taken twice.");
        Expect.Equal(null, await box.TakeAsync(Proof, 1), "the second piece before the first");
        Expect.Sequence<byte>([0, 1], [.. (await box.TakeAsync(Proof, 0))!, .. (await box.TakeAsync(Proof, 1))!], "both pieces");
        Expect.Equal(null, await box.TakeAsync(Proof, 1), "a piece that was taken");
    }

    private static ContextPackage Package(int devices)
    {
        var context = new OpenContext();
        var driver = context.Driver();
        var random = new Random(1);
        for (var i = 0; i < devices; i++)
        {
            var regions = Enumerable.Range(0, IoctlLimits.MaxReservedRegions).Select(_ => (ulong)random.NextInt64()).Select(start => new IovaRange(start, start + 1)).ToArray();
            context.Bind(driver, $"device {i}", reserved: regions);
        }

        return new ContextPackage(context.CaptureSnapshot(), 1);
    }

    private ValueTask<ContextTransfer?> SendAsync(ContextPackage package) => ContextTransfer.SendAsync(package, Serialization.Serializer, _grains, Proof);

    private static byte[] Bytes(ContextPackage package) => Serialization.Serializer.SerializeToArray(package);

    private sealed class Box : IHandoverBox
    {
        public List<byte[]> Pieces { get; } = [];

        public int FailsAt { get; init; } = int.MaxValue;

        public int Ends { get; private set; }

        public ValueTask<bool> AddAsync(SiloProof proof, int number, byte[] piece)
        {
            if (number >= FailsAt)
            {
                return ValueTask.FromResult(false);
            }

            Pieces.Add(piece);
            return ValueTask.FromResult(true);
        }

        public ValueTask<byte[]?> TakeAsync(SiloProof proof, int number) => ValueTask.FromResult(number < Pieces.Count ? Pieces[number] : null);

        public Task EndAsync(SiloProof proof)
        {
            Ends++;
            return Task.CompletedTask;
        }
    }
}
