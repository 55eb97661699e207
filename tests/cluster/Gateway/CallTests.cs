using System.Runtime.Versioning;
using System.Security.Cryptography;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>Contexts, their descriptors and requests, over the socket.</summary>
[SupportedOSPlatform("linux")]
public sealed class CallTests(GatewaySilo silo) : IClassFixture<GatewaySilo>
{
    private const uint Ebadf = 9, Enoent = 2, Enotty = 25, Einval = 22;

    // Where a mock domain has IOVAs.
    private const ulong MockAperture = 1 << 24;

    [Fact]
    public async Task A_context_has_objects_that_ioctls_make_and_destroy()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var ioas = await program.AllocateIoasAsync();
        var map = await program.CallAsync(WireFrames.IoasMap(program.NextTag(), program.Ticket, ioas, 0x10000, 0x1000, 0x4000));
        var unmap = await program.CallAsync(WireFrames.IoasUnmap(program.NextTag(), program.Ticket, ioas, 0x4000, 0x1000));

        Assert.Equal((1u, 0u, 0u), (ioas, map.Errno, unmap.Errno));
        Assert.Equal(0u, await program.DestroyAsync(ioas));
        Assert.Equal(Enoent, await program.DestroyAsync(ioas));
    }

    [Fact]
    public async Task Sixty_four_requests_under_way_are_answered_in_their_order()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        for (uint round = 0; round < 50; round++)
        {
            await program.Calls.SendAsync(
                [.. Enumerable.Range(0, 64).Select(i => i % 2 == 0 ? WireFrames.IoasAlloc((uint)i, program.Ticket) : WireFrames.Destroy((uint)i, program.Ticket, 1))]);
            var answers = new List<(uint Tag, uint Errno)>();
            for (uint i = 0; i < 64; i++)
            {
                var frame = await program.Calls.AnswerAsync();
                answers.Add((frame.Tag, WireAnswer.Read(frame).Errno));
            }

            Assert.True(
                answers.SequenceEqual(Enumerable.Range(0, 64).Select(i => ((uint)i, 0u))),
                $"round {round}: the requests of a context succeed, and are answered, in their order; the answers' tags and errnos were {string.Join(' ', answers)}");
        }
    }

    [Fact]
    public async Task A_number_that_is_no_command_and_a_context_that_is_read_are_errnos()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);

        Assert.Equal(Enotty, (await program.CallAsync(WireFrames.Ioctl(1, program.Ticket, 0x1234, new byte[8]))).Errno);
        Assert.Equal(Einval, (await program.Calls.CallAsync(WireFrames.Read(2, program.Ticket, 8))).Number(0));
        Assert.Equal(Einval, (await program.Calls.CallAsync(WireFrames.Write(3, program.Ticket, new byte[8]))).Number(0));
    }

    [Fact]
    public async Task A_descriptor_of_a_context_is_readable_and_writable_from_its_opening_on()
    {
        using var context = await WireDescriptor.OpenAsync(silo.Path);
        await context.Connection.ReadableAsync("a context's descriptor, as of every file without poll");

        Assert.True(context.Connection.IsWritable, "a context's descriptor is writable");
    }

    [Fact]
    public async Task A_ticket_that_nobody_has_is_EBADF_for_every_request()
    {
        using var calls = await WireConnection.CallsAsync(silo.Path);
        var unknown = RandomNumberGenerator.GetBytes(16);

        Assert.Equal(Ebadf, WireAnswer.Read(await calls.CallAsync(WireFrames.IoasAlloc(1, unknown))).Errno);
        Assert.Equal(Ebadf, (await calls.CallAsync(WireFrames.Read(2, unknown, 8))).Number(0));
        Assert.Equal(Ebadf, (await calls.CallAsync(WireFrames.Write(3, unknown, new byte[8]))).Number(0));
        Assert.Equal(1u, (await calls.CallAsync(WireFrames.Closed(4, unknown))).Number(0));
        Assert.Equal(Enoent, (await calls.CallAsync(WireFrames.Discard(5, unknown))).Number(0));
    }

    [Fact]
    public async Task Who_proves_that_it_has_a_descriptor_gets_its_ticket()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        using var receiver = await WireConnection.CallsAsync(silo.Path, program: 2);
        var nonce = RandomNumberGenerator.GetBytes(16);
        await program.Context.Connection.SendAsync(WireFrames.Prove(nonce));
        var resolved = await receiver.CallAsync(WireFrames.Resolve(1, nonce));

        Assert.Equal((0u, 1), (resolved.Number(0), resolved.Body[4]));
        Assert.Equal(program.Ticket, resolved.Name(8));
        Assert.Equal(Enoent, (await receiver.CallAsync(WireFrames.Resolve(2, RandomNumberGenerator.GetBytes(16)))).Number(0));
    }

    [Fact]
    public async Task The_proof_may_come_after_the_question()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var nonce = RandomNumberGenerator.GetBytes(16);
        await program.Calls.SendAsync(WireFrames.Resolve(1, nonce));
        await program.Context.Connection.SendAsync(WireFrames.Prove(nonce));

        Assert.Equal(program.Ticket, (await program.Calls.AnswerAsync()).Name(8));
    }

    [Fact]
    public async Task Another_user_can_use_a_descriptor_only_after_it_has_proved_that_it_has_it()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            // A second user is to be had only as root.
            return;
        }

        using var open = new Opened(silo.Path);
        using var program = await WireProgram.OpenAsync(silo.Path);
        using var stranger = await OtherUser.RunAsync(() => WireConnection.CallsAsync(silo.Path).GetAwaiter().GetResult());

        Assert.Equal(Ebadf, WireAnswer.Read(await stranger.CallAsync(WireFrames.IoasAlloc(1, program.Ticket))).Errno);
        Assert.Equal(1u, (await stranger.CallAsync(WireFrames.Closed(2, program.Ticket))).Number(0));

        var nonce = RandomNumberGenerator.GetBytes(16);
        await program.Context.Connection.SendAsync(WireFrames.Prove(nonce));
        Assert.Equal(0u, (await stranger.CallAsync(WireFrames.Resolve(3, nonce))).Number(0));
        Assert.Equal(0u, WireAnswer.Read(await stranger.CallAsync(WireFrames.IoasAlloc(4, program.Ticket))).Errno);
    }

    [Fact]
    public async Task The_answer_to_CLOSED_comes_when_the_context_is_released()
    {
        var program = await WireProgram.OpenAsync(silo.Path);
        using var calls = program.Calls;
        await program.AllocateIoasAsync();

        Assert.Equal(0u, (await calls.CallAsync(WireFrames.Closed(1, program.Ticket))).Number(0));
        program.Context.Dispose();
        Assert.Equal(1u, (await calls.CallAsync(WireFrames.Closed(2, program.Ticket))).Number(0));
        Assert.Equal(Ebadf, WireAnswer.Read(await calls.CallAsync(WireFrames.IoasAlloc(3, program.Ticket))).Errno);
    }

    [Fact]
    public async Task A_request_holds_the_context_whose_last_descriptor_closes_meanwhile()
    {
        var program = await WireProgram.OpenAsync(silo.Path);
        using var calls = program.Calls;
        var ioas = await program.AllocateIoasAsync();
        await program.ExpectAsync(WireFrames.IoasMap(program.NextTag(), program.Ticket, ioas, 0x10000, 0x1000, MockAperture), "IOAS_MAP");

        // A mock domain pins what is mapped: the program is asked whether its memory is still there, and the requests after it wait.
        await calls.SendAsync(WireFrames.Test(1, program.Ticket, 2, ioas), WireFrames.Read(2, program.Ticket, 8), WireFrames.IoasAlloc(3, program.Ticket));
        var question = await calls.AnswerAsync();
        Assert.True(question.Kind == 0x20, $"the program is asked by LOOK, it was {question}");

        program.Context.Dispose();
        using var other = await WireConnection.CallsAsync(silo.Path);
        for (uint tag = 1; (await other.CallAsync(WireFrames.Read(tag, program.Ticket, 8))).Number(0) != Ebadf; tag++)
        {
            // The gateway does not know yet that the descriptor is closed.
        }

        await calls.SendAsync(WireFrames.Looked(question.Tag, question.Number(0)));
        Assert.Equal(0u, WireAnswer.Read(await calls.AnswerAsync()).Errno);
        Assert.Equal(Einval, (await calls.AnswerAsync()).Number(0));
        Assert.Equal(0u, WireAnswer.Read(await calls.AnswerAsync()).Errno);
        Assert.Equal(1u, (await calls.CallAsync(WireFrames.Closed(4, program.Ticket))).Number(0));
    }

    [Fact]
    public async Task The_last_close_makes_room_for_another_context_at_once()
    {
        await using var small = await GatewaySilo.StartAsync(settings => settings.MaxContexts = 1);
        using var calls = await WireConnection.CallsAsync(small.Path);
        for (uint i = 0; i < 100; i++)
        {
            var context = await WireDescriptor.OpenAsync(small.Path);
            context.Dispose();
            Assert.True(i % 2 == 0 || (await calls.CallAsync(WireFrames.Closed(i, context.Ticket))).Number(0) == 1, $"context {i} is closed");
        }
    }

    /// <summary>Lets all users connect for a while.</summary>
    private sealed class Opened : IDisposable
    {
        private readonly string[] _paths;

        public Opened(string path)
        {
            _paths = [Path.GetDirectoryName(path)!, path, path + "-fd"];
            Set(isOn: true);
        }

        public void Dispose() => Set(isOn: false);

        private void Set(bool isOn)
        {
            // The thread has this process's groups.
            const UnixFileMode others = (UnixFileMode)0b111_111;
            foreach (var path in _paths)
            {
                var mode = File.GetUnixFileMode(path);
                File.SetUnixFileMode(path, isOn ? mode | others : mode & ~others);
            }
        }
    }
}
