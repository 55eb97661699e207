using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>
/// A request is done once, however often it must be sent until it is answered: each kind of request, with each attempt's request or answer lost, on volatile
/// and durable contexts of a real silo; the durable ones also where another activation answers the repeat.
/// </summary>
public sealed class ExactlyOnceTests(LossyFixture fixture) : IClassFixture<LossyFixture>
{
    private static readonly string[] Kinds =
        ["ioctl", "batch", "hold", "drop", "bind", "unbind", "attach", "detach", "create access", "pin", "read", "write", "duplicate", "get driver", "put", "close"];

    private readonly LostAnswers _way = fixture.Way;
    private readonly IommufdClient _client = fixture.Client;
    private ContextHandle _handle;

    public static TheoryData<string, ContextMode> Requests => InBothModes(Kinds);

    public static TheoryData<string, ContextMode> RequestsOfContextsThatStay => InBothModes(Kinds.Where(kind => kind != "close"));

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task A_request_whose_answers_are_lost_is_done_once(string request, ContextMode mode)
    {
        foreach (var fates in new CallFate[][]
        {
            [CallFate.AnswerLost],
            [CallFate.NotSent, CallFate.AnswerLost, CallFate.AnswerLost],
            [CallFate.AnswerDropped],
            [CallFate.AnswerDropped, CallFate.NotSent, CallFate.AnswerDropped],
        })
        {
            var (once, run) = await OnceAsync(request, mode);
            _way.Next(fates);
            await run().WaitAsync(Eventually.Limit);
            Assert.True(_way.Calls.Count > fates.Length, $"{request}: at least {fates.Length + 1} attempts, the first of which are {string.Join(", ", fates)}; there were {_way.Calls.Count}");
            _way.Next();
            await once();
        }
    }

    [Theory]
    [InlineData(ContextMode.Volatile)]
    [InlineData(ContextMode.Durable)]
    public async Task Opening_is_done_once(ContextMode mode)
    {
        foreach (var fate in (CallFate[])[CallFate.AnswerLost, CallFate.AnswerDropped])
        {
            _way.Next(fate, fate);
            await using var context = await _client.OpenAsync("once", mode);
            Assert.True(_way.Calls.Count >= 3, $"3 attempts or more, there were {_way.Calls.Count}");
            Assert.Equal(mode, context.Mode);
            Assert.Single((await context.InspectAsync()).References);
        }
    }

    [Theory]
    [MemberData(nameof(RequestsOfContextsThatStay))]
    public async Task An_attempt_that_comes_after_its_request_is_settled_changes_nothing(string request, ContextMode mode)
    {
        var (once, run) = await OnceAsync(request, mode);
        _way.Next(CallFate.Late);
        await run().WaitAsync(Eventually.Limit);
        await once();
        await _way.RunLateAsync();
        await once();
    }

    [Fact]
    public async Task A_request_that_was_given_up_does_not_run_once_a_later_one_was_answered()
    {
        foreach (var mode in (ContextMode[])[ContextMode.Volatile, ContextMode.Durable])
        {
            await using var context = await _client.OpenAsync("once", mode);
            using var cancel = new CancellationTokenSource();
            _way.Next(CallFate.Late);
            var givenUp = context.AllocateIoasAsync(cancel.Token).AsTask();
            await cancel.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => givenUp);

            Assert.Equal(RlimitMode.User, await context.GetRlimitModeAsync());
            await _way.RunLateAsync();
            Assert.Equal(0, (await context.InspectAsync()).ObjectCount);
        }
    }

    [Fact]
    public async Task Where_another_activation_answers_the_repeat_a_durable_context_has_done_it_once()
    {
        foreach (var request in Kinds)
        {
            var (once, run) = await OnceAsync(request, ContextMode.Durable);
            _way.Next(CallFate.AnswerLost);
            var running = run();
            await fixture.Silo.StealAsync(_handle);
            await running.WaitAsync(Eventually.Limit);
            await once();
        }
    }

    [Fact]
    public async Task Many_requests_at_once_over_a_way_that_loses_every_fourth_are_each_done_once()
    {
        foreach (var mode in (ContextMode[])[ContextMode.Volatile, ContextMode.Durable])
        {
            await using var context = await _client.OpenAsync("once", mode);
            var random = new Random(5);
            _way.Next([.. Enumerable.Range(0, 4_000).Select(_ => random.Next(4) == 0 ? (CallFate)random.Next((int)CallFate.AnswerLost, (int)CallFate.AnswerDropped) : CallFate.Answered)]);
            var ids = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(async () =>
            {
                var mine = new List<uint>();
                for (var i = 0; i < 20; i++)
                {
                    mine.Add((await context.AllocateIoasAsync()).Value);
                }

                for (var i = 0; i < 10; i++)
                {
                    await context.DestroyAsync(new ObjectId(mine[^1]));
                    mine.RemoveAt(mine.Count - 1);
                }

                return mine;
            }))).WaitAsync(Eventually.Limit);
            _way.Next();

            var left = await context.InspectAsync();
            Assert.Equal(500, left.ObjectCount);
            Assert.Equal(ids.SelectMany(each => each).Order(), left.Objects.Select(item => item.Object.Id.Value));
        }
    }

    [Theory]
    [InlineData(ContextMode.Volatile)]
    [InlineData(ContextMode.Durable)]
    public async Task Ioctls_that_go_together_are_each_done_once_where_their_answers_are_lost(ContextMode mode)
    {
        const int Together = 64;
        foreach (var fate in (CallFate[])[CallFate.AnswerLost, CallFate.NotSent, CallFate.AnswerDropped, CallFate.Late])
        {
            await using var context = await _client.OpenAsync("once", mode);
            _way.Next(CallFate.Answered, fate);
            var ids = await Task.WhenAll(Enumerable.Range(0, Together).Select(_ => context.AllocateIoasAsync().AsTask())).WaitAsync(Eventually.Limit);
            Assert.Contains(nameof(IContextGrain.IoctlGroupAsync), _way.Calls);
            await (fate == CallFate.Late ? _way.RunLateAsync() : Task.CompletedTask);
            _way.Next();

            // Another activation finds in the journal what the group has done.
            if (mode == ContextMode.Durable)
            {
                await fixture.Silo.StealAsync(context.Handle);
            }

            var left = await context.InspectAsync();
            Assert.Equal(Enumerable.Range(1, Together).Select(id => (uint)id), ids.Select(id => id.Value).Order());
            Assert.Equal(ids.Select(id => id.Value).Order(), left.Objects.Select(item => item.Object.Id.Value));
        }
    }

    private static TheoryData<string, ContextMode> InBothModes(IEnumerable<string> kinds)
    {
        var data = new TheoryData<string, ContextMode>();
        foreach (var kind in kinds)
        {
            data.Add(kind, ContextMode.Volatile);
            data.Add(kind, ContextMode.Durable);
        }

        return data;
    }

    // A request, and what shows that it was done exactly once.
    private async Task<(Func<Task> Once, Func<Task> Run)> OnceAsync(string request, ContextMode mode)
    {
        var context = await _client.OpenAsync("once", mode);
        _handle = context.Handle;
        var ioas = await context.AllocateIoasAsync();
        await context.MapAsync(ioas, DmaMemory.Allocate(4096), new Iova(0));
        var driver = await _client.GetDriverAsync(context.Handle, "driver");
        var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0", Iommu = DeviceDescription.PciIommu });
        var attached = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:02:00.0", Iommu = DeviceDescription.PciIommu });
        var access = await driver.CreateAccessAsync(ioas, context.Memory, needsPinPages: true);
        var hold = await driver.HoldAsync(ioas, "before");
        if (request == "detach")
        {
            await attached.AttachAsync(ioas);
        }

        var before = await StateAsync(context.Handle);
        return request switch
        {
            "ioctl" => (() => ObjectsAsync(before, 1), async () => await context.AllocateIoasAsync()),
            "batch" => (() => ObjectsAsync(before, 2), () => context.CreateBatch().AllocateIoas().AllocateIoas().RunAsync()),
            "hold" => (() => UsersAsync(before, ioas, 1), () => driver.HoldAsync(ioas, "once")),
            "drop" => (() => UsersAsync(before, ioas, -1), () => hold.DropAsync()),
            "bind" => (() => ObjectsAsync(before, 1), () => driver.BindDeviceAsync(new DeviceDescription { Name = "0000:03:00.0" })),
            "unbind" => (() => ObjectsAsync(before, -1), () => device.UnbindAsync()),
            "attach" => (() => UsersAsync(before, ioas, 1), async () => await device.AttachAsync(ioas)),
            "detach" => (() => UsersAsync(before, ioas, -1), async () => await attached.DetachAsync()),
            "create access" => (() => ObjectsAsync(before, 1), () => driver.CreateAccessAsync()),
            "pin" => (() => PinsAsync(ioas, 1), async () => await access.PinAsync(new IovaRange(0, 4095))),
            "read" or "write" => await FileAsync(),
            "duplicate" => (() => ReferencesAsync(before, 1), () => _client.DuplicateAsync(context.Handle)),
            "get driver" => (() => ReferencesAsync(before, 1), () => _client.GetDriverAsync(context.Handle, "once")),
            "put" => (() => ReferencesAsync(before, -1), () => driver.PutAsync()),
            "close" => await CloseAsync(),
            _ => throw new ArgumentOutOfRangeException(nameof(request), request, null),
        };

        // Reading twice would read nothing the second time; a response is right once.
        async Task<(Func<Task>, Func<Task>)> FileAsync()
        {
            var record = new byte[Unsafe.SizeOf<IommuHwptPgfault>()];
            var faulting = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:03:00.0" });
            var queue = await context.AllocateFaultQueueAsync();
            await faulting.AttachAsync(await context.AllocateHwptAsync(faulting.Id, await context.AllocateIoasAsync(), IommuHwptAllocFlags.FaultIdValid, queue.Id));
            await new RawProgram(context).ExpectAsync("a fault", Errno.None, IommuTestOp.TriggerIopf, 0, new IommuTestTriggerIopf { DevId = faulting.Id.Value });
            FileResult result = default;
            if (request == "read")
            {
                return (
                    () =>
                    {
                        Assert.Equal((Errno.None, record.Length), (result.Errno, result.Count));
                        return QueueAsync(queue.Id, 0, 1);
                    },
                    async () => result = await queue.File.ReadAsync(record));
            }

            await queue.File.ReadAsync(record);
            var response = UapiStruct.ToBytes(new IommuHwptPageResponse { Cookie = UapiStruct.Read<IommuHwptPgfault>(record).Cookie });
            return (
                () =>
                {
                    Assert.Equal((Errno.None, response.Length), (result.Errno, result.Count));
                    return QueueAsync(queue.Id, 0, 0);
                },
                async () => result = await queue.File.WriteAsync((ReadOnlyMemory<byte>)response));
        }

        async Task<(Func<Task>, Func<Task>)> CloseAsync()
        {
            await driver.PutAsync();
            ReleaseReport? release = null;
            return (
                async () =>
                {
                    // Only a journal knows what was released when somebody asks again.
                    Assert.Equal(mode == ContextMode.Durable ? 1 : null, release?.Destroyed);
                    var gone = await Assert.ThrowsAsync<IommufdException>(() => _client.DuplicateAsync(context.Handle));
                    Assert.Equal(Errno.EBADF, gone.Errno);
                },
                async () => release = await context.CloseAsync());
        }
    }

    private Task<ContextInspection> StateAsync(ContextHandle handle)
        => _client.InspectAsync(handle, new InspectRequest(default, 100, WithState: true));

    private async Task ObjectsAsync(ContextInspection before, int more)
    {
        var after = await StateAsync(_handle);
        Assert.True(before.ObjectCount + more == after.ObjectCount, $"{more} objects more than {before.ObjectCount}: {after.ObjectCount}");
    }

    private async Task ReferencesAsync(ContextInspection before, int more)
    {
        var after = await StateAsync(_handle);
        Assert.True(before.References.Length + more == after.References.Length, $"{more} references more than {before.References.Length}: {after.References.Length}");
    }

    private async Task UsersAsync(ContextInspection before, ObjectId id, int more)
    {
        var after = await StateAsync(_handle);
        Assert.Equal(Users(before) + more, Users(after));

        long Users(ContextInspection state) => state.Objects.Single(item => item.Object.Id == id).Users;
    }

    private async Task QueueAsync(ObjectId queue, int waiting, int outstanding)
    {
        var state = Assert.IsType<FaultQueueState>((await StateAsync(_handle)).Objects.Single(item => item.Object.Id == queue).State);
        Assert.Equal((waiting, outstanding), (state.Waiting, state.Unanswered));
    }

    private async Task PinsAsync(ObjectId ioas, ulong pins)
    {
        var state = Assert.IsType<IoasState>((await StateAsync(_handle)).Objects.Single(item => item.Object.Id == ioas).State);
        Assert.Equal(pins, (ulong)state.Pins);
    }
}
