using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

// "Decoding and pre-validation allocate nothing", counted by the runtime for this thread, which nothing else runs on.

public sealed class AllocationTests
{
    private const int Requests = 100_000;
    private const int Seed = 20221107;

    [Fact]
    public void Pre_validation_and_decoding_allocate_nothing()
    {
        var requests = Make(new Random(Seed));
        var (passed, failed, sum) = (0, 0, 0UL);
        var allocated = Allocations.Of(() => (passed, failed, sum) = Run(requests));

        Expect.Equal(0L, allocated, $"bytes allocated over {Requests} requests of seed {Seed}, of which {passed} passed and {failed} failed (sum {sum})");
        Expect.That(passed > 10_000 && failed > 10_000, $"Of seed {Seed}, {passed} requests passed and {failed} failed: the requests say little.");
    }

    [Fact]
    public void Taking_an_id_and_giving_it_back_allocates_nothing_where_others_are_taken()
    {
        var ids = new IdAllocator();
        for (var i = 0; i < 5000; i++)
        {
            ids.TryAllocate(out _);
        }

        Expect.Equal(0L, Allocations.Of(() => Churn(ids)), "bytes allocated by taking and freeing ids");

        static void Churn(IdAllocator ids)
        {
            for (uint i = 1; i < 5000; i++)
            {
                ids.Free(i);
                ids.TryAllocate(out _);
            }
        }
    }

    private static (int Passed, int Failed, ulong Sum) Run(IoctlRequest[] requests)
    {
        var (passed, failed, sum) = (0, 0, 0UL);
        foreach (var request in requests)
        {
            var result = Prevalidation.Check(request, out var index);
            if (result.Errno != Errno.None)
            {
                failed++;
                continue;
            }

            passed++;
            var call = new IoctlCommand(IoctlTable.Get((IommuCommand)request.Command), request);
            sum += (ulong)index + Decode(call, (IommuCommand)request.Command);
            foreach (var buffer in (UserBufferDescriptor[])IoctlTable.Get((IommuCommand)request.Command).Buffers)
            {
                sum += buffer.LengthIn(request.Argument);
            }
        }

        return (passed, failed, sum);
    }

    private static ulong Decode(IoctlCommand call, IommuCommand command) => command switch
    {
        IommuCommand.Destroy => call.Read<IommuDestroy>().Id,
        IommuCommand.IoasAlloc => call.Read<IommuIoasAlloc>().Flags,
        IommuCommand.Option => call.Read<IommuOption>().Val64,
        IommuCommand.VfioIoas => call.Read<IommuVfioIoas>().IoasId,
        IommuCommand.HwptAlloc => call.Read<IommuHwptAlloc>().DataUptr,
        IommuCommand.IoasMap => call.Read<IommuIoasMap>().Length,
        _ => call.Read<IommuTestCmd>().Last,
    };

    private static IoctlRequest[] Make(Random random)
    {
        var descriptors = IoctlTable.All.ToArray();
        var requests = new IoctlRequest[Requests];
        for (var i = 0; i < requests.Length; i++)
        {
            var descriptor = descriptors[random.Next(descriptors.Length)];
            var size = random.Next(4) switch
            {
                0 => random.Next(0, descriptor.MinSize),
                1 => descriptor.Size + random.Next(1, 200),
                2 => random.Next(descriptor.MinSize, descriptor.Size + 1),
                _ => descriptor.Size,
            };
            var argument = new byte[random.Next(20) == 0 ? random.Next(size + 1) : size];
            random.NextBytes(argument.AsSpan(0, Math.Min(argument.Length, random.Next(3) == 0 ? argument.Length : descriptor.Size)));
            if (argument.Length >= 4)
            {
                BinaryPrimitives.WriteInt32LittleEndian(argument, size);
            }

            requests[i] = new IoctlRequest
            {
                Command = random.Next(20) == 0 ? (uint)random.NextInt64(1L << 32) : (uint)descriptor.Command,
                Argument = argument,
                Tail = (ArgumentTail)random.Next(3),
            };
        }

        return requests;
    }
}
