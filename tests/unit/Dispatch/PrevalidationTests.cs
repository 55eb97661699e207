using System.Buffers.Binary;
using System.Reflection;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

// The checks before a command runs, in the kernel's order (iommufd_fops_ioctl and copy_struct_from_user), for every command of the table.

public sealed class PrevalidationTests
{
    public static TheoryData<IommuCommand> Commands => [.. Enum.GetValues<IommuCommand>()];

    // Each row breaks one rule less than the one before it, so that the answers are the order of the checks.
    [Theory]
    [MemberData(nameof(Commands))]
    public void The_first_broken_rule_in_the_kernels_order_decides(IommuCommand command)
    {
        var descriptor = IoctlTable.Get(command);
        var (size, min) = (descriptor.Size, descriptor.MinSize);
        var wrongType = (uint)command ^ 0xC000_0000;
        var request = new IoctlRequest { Command = (wrongType & ~0xFFu) | 0x7F, Argument = [1, 0], Tail = ArgumentTail.Faulted };
        Fails(request, Errno.ENOTTY, DiagnosticReason.UnknownNumber, request.Command, 0, "a number outside the table, unreadable");

        request = With(request, wrongType);
        Fails(request, Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, 2, 4, "a number in the table with other type bits, two bytes readable");

        var tooLarge = Argument(min - 1, IoctlLimits.MaxArgumentBytes + 1, fill: 0xFF);
        request = With(request, wrongType, tooLarge);
        Fails(request, Errno.ENOTTY, DiagnosticReason.UnknownCommand, wrongType, 0, "another command number, too large and too short");

        request = With(request, (uint)command);
        Fails(request, Errno.E2BIG, DiagnosticReason.RequestTooLarge, 4097, 4096, "an argument of more bytes than travel, too short");

        request = With(request, (uint)command, Argument(min - 1, size + 8, fill: 0xFF));
        Fails(request, Errno.EINVAL, DiagnosticReason.ArgumentTooShort, (ulong)(min - 1), (ulong)min, "a size below the smallest, with other bytes behind");

        request = With(request, (uint)command, Argument(size + 16, size + 8, fill: 0xFF));
        Fails(request, Errno.E2BIG, DiagnosticReason.UnknownBytesNotZero, (ulong)(size + 16), (ulong)size, "unknown bytes before unreadable ones");

        request = With(request, (uint)command, Argument(size + 16, size + 8, fill: 0));
        Fails(request, Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, (ulong)(size + 8), (ulong)(size + 16), "zero bytes before unreadable ones");

        request = With(request, (uint)command, tail: ArgumentTail.NonZero);
        Fails(request, Errno.E2BIG, DiagnosticReason.UnknownBytesNotZero, (ulong)(size + 16), (ulong)size, "unknown bytes behind those that travel");

        Passes(With(request, (uint)command, tail: ArgumentTail.Zero), "zero bytes behind the known struct");
    }

    [Fact]
    public void A_number_outside_the_table_is_ENOTTY_whatever_the_argument_is()
    {
        foreach (var number in Enumerable.Range(0, 256).Where(number => number is < 0x80 or > 0xA0))
        {
            var command = 0x3B00u | (uint)number;
            foreach (var argument in (byte[][])[[], [8], Argument(8, 8, 0), Argument(8, 5000, 0xFF)])
            {
                Fails(
                    new IoctlRequest { Command = command, Argument = argument },
                    Errno.ENOTTY, DiagnosticReason.UnknownNumber, command, 0, $"number 0x{number:X2}");
            }
        }
    }

    [Fact]
    public void An_unused_number_of_the_table_is_EFAULT_if_unreadable_and_ENOTTY_otherwise()
    {
        for (uint number = 0x95; number <= 0x9F; number++)
        {
            var command = 0x3B00u | number;
            for (var readable = 0; readable < 4; readable++)
            {
                Fails(
                    new IoctlRequest { Command = command, Argument = new byte[readable], Tail = ArgumentTail.Faulted },
                    Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, (ulong)readable, 4, $"unused number 0x{number:X2} with {readable} bytes");
            }

            foreach (var argument in (byte[][])[Argument(0, 4, 0), Argument(72, 72, 0xFF), Argument(8, 5000, 0)])
            {
                Fails(
                    new IoctlRequest { Command = command, Argument = argument },
                    Errno.ENOTTY, DiagnosticReason.UnknownCommand, command, 0, $"unused number 0x{number:X2}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void An_argument_whose_size_cannot_be_read_is_EFAULT(IommuCommand command)
    {
        for (var readable = 0; readable < 4; readable++)
        {
            foreach (var tail in Enum.GetValues<ArgumentTail>())
            {
                Fails(
                    new IoctlRequest { Command = (uint)command, Argument = new byte[readable], Tail = tail },
                    Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, (ulong)readable, 4, $"{readable} readable bytes");
            }
        }

        Fails(new IoctlRequest { Command = (uint)command, Argument = null! }, Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, 0, 4, "no argument at all");
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void A_wrong_type_direction_or_size_bit_is_ENOTTY(IommuCommand command)
    {
        var argument = Argument(IoctlTable.Get(command).Size, IoctlTable.Get(command).Size, 0);
        for (var bit = 8; bit < 32; bit++)
        {
            var other = (uint)command ^ (1u << bit);
            Fails(
                new IoctlRequest { Command = other, Argument = argument },
                Errno.ENOTTY, DiagnosticReason.UnknownCommand, other, 0, $"bit {bit} of the command flipped");
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_size_below_the_smallest_is_EINVAL(IommuCommand command)
    {
        var descriptor = IoctlTable.Get(command);
        for (var size = 0; size < descriptor.MinSize; size++)
        {
            foreach (var tail in Enum.GetValues<ArgumentTail>())
            {
                Fails(
                    new IoctlRequest { Command = (uint)command, Argument = Argument(size, Math.Max(size, 4), 0xFF), Tail = tail },
                    Errno.EINVAL, DiagnosticReason.ArgumentTooShort, (ulong)size, (ulong)descriptor.MinSize, $"size {size} with {tail} behind");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_size_from_the_smallest_to_the_whole_passes(IommuCommand command)
    {
        var descriptor = IoctlTable.Get(command);
        for (var size = descriptor.MinSize; size <= descriptor.Size; size++)
        {
            Passes(new IoctlRequest { Command = (uint)command, Argument = Argument(size, size, 0xFF) }, $"size {size}, all bytes set");
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void A_larger_size_passes_if_all_bytes_behind_the_known_are_zero(IommuCommand command)
    {
        var known = IoctlTable.Get(command).Size;
        foreach (var size in (int[])[known + 1, known + 7, 256, 4095, 4096])
        {
            var argument = Argument(size, size, 0);
            argument.AsSpan(4, known - 4).Fill(0xFF);
            Passes(new IoctlRequest { Command = (uint)command, Argument = argument }, $"size {size}, zero behind the known");
        }

        var front = Argument(4096, 4096, 0);
        foreach (var size in (uint[])[4097, 100_000, uint.MaxValue])
        {
            BinaryPrimitives.WriteUInt32LittleEndian(front, size);
            Passes(new IoctlRequest { Command = (uint)command, Argument = front, Tail = ArgumentTail.Zero }, $"size {size}, zero behind the known");
            Fails(
                new IoctlRequest { Command = (uint)command, Argument = front, Tail = ArgumentTail.NonZero },
                Errno.E2BIG, DiagnosticReason.UnknownBytesNotZero, size, (ulong)known, $"size {size}, not zero behind what travels");
            Fails(
                new IoctlRequest { Command = (uint)command, Argument = front, Tail = ArgumentTail.Faulted },
                Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, 4096, size, $"size {size}, unreadable behind what travels");
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Any_byte_behind_the_known_that_is_not_zero_is_E2BIG(IommuCommand command)
    {
        var known = IoctlTable.Get(command).Size;
        foreach (var size in (int[])[known + 1, known + 40, 4096])
        {
            foreach (var at in (int[])[known, known + 1, (known + size) / 2, size - 2, size - 1])
            {
                if (at >= known && at < size)
                {
                    var argument = Argument(size, size, 0);
                    argument[at] = 0x80;
                    Fails(
                        new IoctlRequest { Command = (uint)command, Argument = argument },
                        Errno.E2BIG, DiagnosticReason.UnknownBytesNotZero, (ulong)size, (ulong)known, $"size {size} with byte {at} set");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void A_struct_that_is_cut_off_by_unreadable_memory_is_EFAULT(IommuCommand command)
    {
        var descriptor = IoctlTable.Get(command);
        for (var readable = 4; readable < descriptor.Size; readable++)
        {
            foreach (var size in (int[])[Math.Max(descriptor.MinSize, readable + 1), descriptor.Size, 4096])
            {
                if (size > readable)
                {
                    Fails(
                        new IoctlRequest { Command = (uint)command, Argument = Argument(size, readable, 0xFF), Tail = ArgumentTail.Faulted },
                        Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, (ulong)readable, (ulong)size, $"{readable} readable bytes of {size}");
                }
            }
        }
    }

    // A caller's side that is not the SDK may send anything.
    [Theory]
    [MemberData(nameof(Commands))]
    public void Bytes_behind_the_size_that_the_argument_says_are_not_looked_at(IommuCommand command)
    {
        var descriptor = IoctlTable.Get(command);
        foreach (var size in (int[])[descriptor.MinSize, descriptor.Size, descriptor.Size + 8])
        {
            var argument = Argument(size, 4096, 0);
            argument.AsSpan(size).Fill(0xFF);
            foreach (var tail in Enum.GetValues<ArgumentTail>())
            {
                Passes(new IoctlRequest { Command = (uint)command, Argument = argument, Tail = tail }, $"size {size} of 4096 bytes, with {tail} behind");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void An_argument_of_more_bytes_than_travel_is_E2BIG(IommuCommand command)
    {
        foreach (var bytes in (int[])[4097, 5000, 1 << 20])
        {
            Fails(
                new IoctlRequest { Command = (uint)command, Argument = Argument(bytes, bytes, 0) },
                Errno.E2BIG, DiagnosticReason.RequestTooLarge, (ulong)bytes, 4096, $"{bytes} bytes");
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void What_pre_validation_refuses_is_what_the_caller_is_answered(IommuCommand command)
    {
        var context = new OpenContext();
        var before = context.Snapshot();
        var min = IoctlTable.Get(command).MinSize;
        var reply = context.Run(new IoctlRequest { Command = (uint)command, Argument = Argument(min - 1, min, 0), WritableBytes = 4096 });
        var diagnostic = reply.Fails(Errno.EINVAL, DiagnosticReason.ArgumentTooShort, $"{command} with a size of {min - 1}");
        Expect.Equal(((ulong)(min - 1), (ulong)min), (diagnostic.Value, diagnostic.Limit), "the size and the smallest in the diagnostic");
        Expect.Equal((null, null), (reply.Argument, reply.Buffers), "what is copied back");
        Expect.Equal(before, context.Snapshot(), "the context after a refused ioctl");
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void A_command_without_a_handler_is_EOPNOTSUPP_once_it_is_well_formed(IommuCommand command)
    {
        var context = new OpenContext();
        context.Add();
        var before = context.Snapshot();
        var size = IoctlTable.Get(command).Size;
        var reply = context.Run(new IoctlRequest { Command = (uint)command, Argument = Argument(size, size, 0), WritableBytes = (uint)size });
        Expect.Equal(!HasHandler(command), reply.Diagnostic?.Reason == DiagnosticReason.NotImplemented, $"whether {command} is answered as not implemented");
        if (!HasHandler(command))
        {
            var diagnostic = reply.Fails(Errno.EOPNOTSUPP, DiagnosticReason.NotImplemented, $"{command}, which nothing handles");
            Expect.Equal((uint)command, diagnostic.Value, "the command in the diagnostic");
            Expect.Equal(before, context.Snapshot(), "the context");
            var larger = Argument(size + 1, size + 1, 0xFF);
            context.Run(new IoctlRequest { Command = (uint)command, Argument = larger })
                .Fails(Errno.E2BIG, DiagnosticReason.UnknownBytesNotZero, $"{command} with an unknown byte, which nothing handles");
        }
    }

    [Theory]
    [InlineData(IommuCommand.Destroy)]
    [InlineData(IommuCommand.IoasAlloc)]
    [InlineData(IommuCommand.Option)]
    [InlineData(IommuCommand.VfioIoas)]
    public void The_commands_on_the_context_itself_have_handlers(IommuCommand command)
        => Expect.That(HasHandler(command), $"{command} has no handler.");

    private static bool HasHandler(IommuCommand command)
    {
        var table = (Array)typeof(IoctlDispatcher).GetField("Table", BindingFlags.NonPublic | BindingFlags.Static)!.GetValue(null)!;
        var row = table.GetValue((int)((uint)command & 0xFF) - 0x80);
        Expect.That(row is not null, $"{command} has no row in the dispatcher's table.");
        return row.GetType().GetProperty("Handler")!.GetValue(row) is not null;
    }

    /// <summary>An argument of which the first u32 is <paramref name="size"/> and every other byte <paramref name="fill"/>.</summary>
    private static byte[] Argument(int size, int bytes, byte fill)
    {
        var argument = new byte[bytes];
        argument.AsSpan().Fill(fill);
        BinaryPrimitives.WriteInt32LittleEndian(argument, size);
        return argument;
    }

    private static IoctlRequest With(IoctlRequest request, uint command, byte[]? argument = null, ArgumentTail? tail = null)
        => new() { Command = command, Argument = argument ?? request.Argument, Tail = tail ?? request.Tail };

    private static void Fails(IoctlRequest request, Errno errno, DiagnosticReason reason, ulong value, ulong limit, string what)
        => Expect.Equal(
            new PrevalidationResult(errno, reason, value, limit), Prevalidation.Check(request, out _),
            $"ioctl 0x{request.Command:X}, {what}");

    private static void Passes(IoctlRequest request, string what)
    {
        Expect.Equal(default, Prevalidation.Check(request, out var index), $"ioctl 0x{request.Command:X}, {what}");
        Expect.Equal((int)(request.Command & 0xFF) - 0x80, index, $"the place in the table of 0x{request.Command:X}");
    }
}
